// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {NodeStaking} from "../../src/NodeStaking.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {Evidence, ISlashingCourt, Offence, OffenceState} from "../../src/interfaces/ISlashingCourt.sol";
import {Statements} from "../../src/libraries/Statements.sol";
import {Refusals} from "../base/Refusals.sol";
import {Person, StakingTest} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";

/// @title A registry that says what it was told to of court and unbonding
contract OtherRegistry {
    address public immutable COURT;
    uint48 public immutable UNBONDING;

    constructor(address court, uint48 unbonding) {
        (COURT, UNBONDING) = (court, unbonding);
    }
}

/// Evidence: what is one, what it costs, and that the innocent lose nothing by it.
contract ReportTest is StakingTest {
    using Refusals for NodeStaking;

    uint256 private constant STAKE = 1_000 ether;

    function setUp() public override {
        super.setUp();
        _join(alice, STAKE);
        _join(bob, STAKE);
        _pass(1 days);
    }

    function _refused(Evidence memory evidence, bytes memory why) private {
        vm.prank(reporter);
        vm.expectRevert(why);
        court.report(evidence);
        assertEq(_activeOf(alice) + _leavingOf(alice), STAKE, "P8: alice lost something");
    }

    function _notInForce(Person memory person) private pure returns (bytes memory) {
        return abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, person.account, person.key);
    }

    function _only(bytes4 selector) private pure returns (bytes memory) {
        return abi.encodePacked(selector);
    }

    // The guilty

    function test_a_double_accept_costs_one_percent(uint256 staked) public {
        staked = bound(staked, 100, 1_000_000 ether);
        _join(carol, staked);
        bytes32 id = _report(_doubleAccept(carol, 1));
        assertEq(_activeOf(carol), staked - staked / 100, "active");
        assertEq(staking.escrow(), staked / 100, "escrow");
        assertEq(staking.getVotes(carol.account), staked - staked / 100, "P4");
        Offence memory offence = court.offenceAt(id);
        assertEq(offence.operator, carol.account, "operator");
        assertEq(offence.reporter, reporter, "reporter");
        assertEq(offence.amount, staked / 100, "amount");
        assertEq(offence.settleAt, block.timestamp + 12 days, "settles");
        assertTrue(offence.state == OffenceState.InEscrow, "state");
        bytes32 slot = keccak256(abi.encode(uint64(2), keccak256(abi.encode("leg", 1))));
        assertEq(id, keccak256(abi.encode(carol.account, uint8(1), slot)), "P6: the id");
    }

    function test_a_contradicting_attestation_costs_five_percent(uint256 staked) public {
        staked = bound(staked, 20, 1_000_000 ether);
        _join(carol, staked);
        bytes32 id = _report(_contradiction(carol, 1));
        assertEq(_activeOf(carol), staked - staked * 5 / 100, "active");
        assertEq(staking.escrow(), staked * 5 / 100, "escrow");
        bytes32 slot = keccak256(abi.encode(keccak256(abi.encode("alert", 1)), keccak256("block")));
        assertEq(id, keccak256(abi.encode(carol.account, uint8(2), slot)), "P6: the id");
    }

    function test_one_slash_per_offence_whatever_the_form() public {
        bytes32 id = _report(_doubleAccept(alice, 1));
        skip(12);
        Evidence memory again = _doubleAccept(alice, 1); // the same slot, signed at another time
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.AlreadyReported.selector, id));
        _report(again);
        skip(12 days);
        court.settle(id);
        again = _doubleAccept(alice, 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.AlreadyReported.selector, id));
        _report(again);
    }

    function test_stake_on_its_way_out_is_slashed_as_well(uint256 leaving) public {
        leaving = bound(leaving, 1, STAKE);
        vm.prank(alice.account);
        staking.requestUnstake(leaving);
        _report(_contradiction(alice, 1));
        assertEq(_activeOf(alice) + _leavingOf(alice), STAKE * 95 / 100, "P3");
        uint256 fromLeaving = leaving > STAKE * 95 / 100 ? leaving - STAKE * 95 / 100 : 0;
        assertEq(_leavingOf(alice), leaving - fromLeaving, "active goes first");
    }

    function test_an_offence_just_before_the_request_is_punished_before_the_exit() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        vm.prank(alice.account);
        staking.requestUnstake(STAKE);
        skip(14 days);
        _report(evidence);
        assertEq(_leavingOf(alice), STAKE * 99 / 100, "P3");
    }

    function test_a_tenth_in_30_days_is_the_most(uint256 many) public {
        many = bound(many, 3, 12);
        uint256 lost;
        for (uint256 i = 0; i < many; ++i) {
            Evidence memory evidence = _contradiction(alice, i);
            if (lost >= STAKE / 10) vm.expectRevert(ISlashingCourt.LossLimitReached.selector);
            _report(evidence);
            lost = STAKE - _activeOf(alice);
            assertLe(lost, STAKE / 10, "P7");
            skip(1 hours);
        }
        assertEq(lost, STAKE / 10, "P7: exactly");
        assertEq(court.recentLoss(alice.account), lost, "recent loss");
    }

    function test_of_any_stake_a_tenth_is_the_most(uint256 staked, uint256 more) public {
        staked = bound(staked, 1_000, 1_000_000 ether);
        more = bound(more, 0, 1_000_000 ether);
        _join(carol, staked);
        _report(_contradiction(carol, 1));
        _report(_contradiction(carol, 2));
        if (more != 0) _stake(carol, more);
        uint256 held = _activeOf(carol);
        uint256 lost = staked + more - held;
        uint256 left = (held + lost) / 10 - lost;
        uint256 penalty = held * 5 / 100;
        Evidence memory evidence = _contradiction(carol, 3);
        if (left == 0) vm.expectRevert(ISlashingCourt.LossLimitReached.selector);
        _report(evidence);
        assertEq(held - _activeOf(carol), penalty < left ? penalty : left, "P7");
        assertEq(staking.escrow(), staked + more - _activeOf(carol), "escrow");
    }

    function test_after_30_days_there_is_a_tenth_again(uint256 staked) public {
        staked = bound(staked, 1 ether, 1_000_000 ether);
        _join(carol, staked);
        _report(_contradiction(carol, 1));
        uint256 rest = _activeOf(carol);
        skip(30 days);
        assertEq(court.recentLoss(carol.account), 0, "recent loss");
        _report(_contradiction(carol, 2));
        assertEq(_activeOf(carol), rest - rest * 5 / 100, "active");
    }

    function test_what_was_lost_counts_to_the_last_second_of_30_days() public {
        _report(_contradiction(alice, 1));
        skip(30 days - 1);
        assertEq(court.recentLoss(alice.account), STAKE * 5 / 100, "recent loss");
    }

    function test_new_stake_does_not_hide_what_was_lost() public {
        for (uint256 i = 0; i < 3; ++i) {
            _report(_contradiction(alice, i));
        }
        _stake(alice, STAKE);
        _report(_contradiction(alice, 3));
        // A tenth of the 2,000 that were ever staked, less the 100 that were lost before.
        assertEq(_activeOf(alice), 2 * STAKE - 195 ether, "P7");
    }

    // The innocent: no evidence

    function test_nobody_who_has_nothing_is_slashed() public {
        Evidence memory evidence = _doubleAccept(dave, 1);
        _refused(evidence, _notInForce(dave));
        _register(dave);
        evidence = _doubleAccept(dave, 2);
        _refused(evidence, _only(ISlashingCourt.NothingToSlash.selector));
    }

    function test_unknown_kinds_are_no_offence(uint8 kind) public {
        vm.assume(kind != DOUBLE_ACCEPT && kind != CONTRADICTION);
        Evidence memory evidence = _doubleAccept(alice, 1);
        evidence.kind = kind;
        _refused(evidence, abi.encodeWithSelector(ISlashingCourt.UnknownOffence.selector, kind));
    }

    function test_forged_signatures_prove_nothing(bytes32 r, bytes32 s, bool other) public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        evidence.signatureB = abi.encodePacked(r, s, other ? uint8(27) : uint8(28));
        bytes32 hashB = Words.hashAccept(evidence.statementB);
        _refused(evidence, staking.notSigned(alice.account, hashB, evidence.signatureB));
    }

    function test_what_another_signed_proves_nothing() public {
        Evidence memory evidence = _doubleAccept(bob, 1);
        evidence.operator = alice.account;
        _refused(evidence, abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, alice.account, bob.key));
        evidence = _doubleAccept(alice, 1);
        evidence.signatureA = _sign(bob.secret, Words.hashAccept(evidence.statementA));
        _refused(evidence, abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, alice.account, bob.key));
    }

    function test_a_verdict_that_another_signed_proves_nothing() public {
        Evidence memory evidence = _contradiction(alice, 1);
        evidence.signatureA = _sign(bob.secret, Words.hashAttestation(evidence.statementA));
        _refused(evidence, abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, alice.account, bob.key));
        evidence = _contradiction(alice, 1);
        evidence.signatureB = _sign(bob.secret, Words.hashAttestation(evidence.statementB));
        _refused(evidence, abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, alice.account, bob.key));
    }

    function test_one_signature_for_both_statements_proves_nothing() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        evidence.signatureB = evidence.signatureA;
        bytes32 hashB = Words.hashAccept(evidence.statementB);
        _refused(evidence, staking.notSigned(alice.account, hashB, evidence.signatureB));
    }

    function test_a_signatures_twin_is_refused() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        evidence.signatureA = Words.twin(evidence.signatureA);
        _refused(evidence, _only(INodeStaking.BadSignature.selector));
        evidence = _doubleAccept(alice, 1);
        (bytes32 r, bytes32 s, uint8 v) = Words.split(evidence.signatureB);
        evidence.signatureB = abi.encodePacked(r, s, v - 27);
        _refused(evidence, _only(INodeStaking.BadSignature.selector));
        evidence.signatureB = abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255))); // ERC-2098
        _refused(evidence, _only(INodeStaking.BadSignature.selector));
    }

    function test_what_was_signed_for_another_chain_or_registry_proves_nothing() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        bytes32 hashA = Words.hashAccept(evidence.statementA);
        vm.chainId(1);
        _refused(evidence, staking.notSigned(alice.account, hashA, evidence.signatureA));
        vm.chainId(31337);
        bytes32 elsewhere = Words.separator(block.chainid, address(court));
        evidence.signatureA = _signUnder(elsewhere, alice.secret, hashA);
        _refused(evidence, staking.notSigned(alice.account, hashA, evidence.signatureA));
    }

    function test_a_statement_of_one_kind_is_none_of_the_other() public {
        // The words of an attestation, signed as one, shown as those of an accept.
        Evidence memory evidence = _contradiction(alice, 1);
        evidence.kind = DOUBLE_ACCEPT;
        // The verdicts stand where an accept has its block, so they are of two slots.
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
        // One order's hash for the alert, another's for the block: a contradiction, were they accepts that she signed.
        evidence.statementB =
            Words.attestation(keccak256("another alert"), keccak256("block"), 1, block.number, block.timestamp);
        if (bytes32(evidence.statementB) < bytes32(evidence.statementA)) {
            (evidence.statementA, evidence.statementB) = (evidence.statementB, evidence.statementA);
        }
        evidence.signatureA = _sign(alice.secret, Words.hashAttestation(evidence.statementA));
        evidence.signatureB = _sign(alice.secret, Words.hashAttestation(evidence.statementB));
        bytes32 hashA = Words.hashAccept(evidence.statementA);
        _refused(evidence, staking.notSigned(alice.account, hashA, evidence.signatureA));
        evidence = _doubleAccept(alice, 5);
        evidence.kind = CONTRADICTION;
        _refused(evidence, _only(Statements.MalformedStatement.selector)); // a verdict out of range
    }

    // The innocent: no contradiction

    function test_what_an_honest_operator_signs_is_no_contradiction() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        (evidence.statementB, evidence.signatureB) = (evidence.statementA, evidence.signatureA);
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
        // The same order accepted twice, at two heads.
        evidence.statementB = Words.accept(
            bytes32(uint256(1)), keccak256(abi.encode("leg", 1)), 2, block.number - 1, block.timestamp - 12
        );
        evidence.signatureB = _sign(alice.secret, Words.hashAccept(evidence.statementB));
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
        // Another leg of the same block, another block for the same leg.
        evidence = _doubleAccept(alice, 1);
        Evidence memory other = _doubleAccept(alice, 2);
        (evidence.statementB, evidence.signatureB) = (other.statementB, other.signatureB);
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
        evidence.statementB =
            Words.accept(bytes32(uint256(2)), keccak256(abi.encode("leg", 1)), 3, block.number, block.timestamp);
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
    }

    function test_verdicts_on_both_sides_of_a_reorg_are_no_contradiction() public {
        Evidence memory evidence = _contradiction(alice, 1);
        evidence.statementB = Words.attestation(
            keccak256(abi.encode("alert", 1)), keccak256("the other block"), 2, block.number, block.timestamp
        );
        evidence.signatureB = _sign(alice.secret, Words.hashAttestation(evidence.statementB));
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
    }

    function test_verdicts_on_two_alerts_are_no_contradiction() public {
        Evidence memory evidence = _contradiction(alice, 1);
        Evidence memory other = _contradiction(alice, 2);
        (evidence.statementB, evidence.signatureB) = (other.statementB, other.signatureB);
        _refused(evidence, _only(ISlashingCourt.NoContradiction.selector));
    }

    function test_one_offence_has_one_form() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        (evidence.statementA, evidence.statementB) = (evidence.statementB, evidence.statementA);
        (evidence.signatureA, evidence.signatureB) = (evidence.signatureB, evidence.signatureA);
        _refused(evidence, _only(ISlashingCourt.NotInOrder.selector));
    }

    function test_malformed_words_prove_nothing() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        bytes memory whole = evidence.statementA;
        evidence.statementA = bytes.concat(whole, hex"00");
        _refused(evidence, _only(Statements.MalformedStatement.selector));
        evidence.statementA = hex"";
        _refused(evidence, _only(Statements.MalformedStatement.selector));
        for (uint256 word = 0; word < 5; ++word) {
            uint256[5] memory words = abi.decode(whole, (uint256[5]));
            words[word] = 0;
            evidence.statementA = abi.encode(words);
            _refused(evidence, _only(Statements.MalformedStatement.selector));
            if (word < 2) continue;
            words = abi.decode(whole, (uint256[5]));
            words[word] += 1 << 64;
            evidence.statementA = abi.encode(words);
            _refused(evidence, _only(Statements.MalformedStatement.selector));
        }
    }

    // The innocent: not then

    function test_evidence_grows_old(uint256 age) public {
        age = bound(age, 0, 20 days);
        Evidence memory evidence = _doubleAccept(alice, 1);
        uint256 signedAt = block.timestamp;
        _pass(age);
        if (age > 14 days) {
            _refused(evidence, abi.encodeWithSelector(ISlashingCourt.EvidenceTooOld.selector, signedAt));
        } else {
            _report(evidence);
            assertEq(_activeOf(alice), STAKE * 99 / 100, "active");
        }
    }

    function test_statements_of_the_future_prove_nothing() public {
        Evidence memory evidence = _acceptsAt(alice, 1, block.number + 1, block.timestamp);
        _refused(
            evidence, abi.encodeWithSelector(ISlashingCourt.FromTheFuture.selector, block.number + 1, block.timestamp)
        );
        evidence = _acceptsAt(alice, 1, block.number, block.timestamp + 1);
        _refused(
            evidence, abi.encodeWithSelector(ISlashingCourt.FromTheFuture.selector, block.number, block.timestamp + 1)
        );
    }

    function test_a_key_proves_nothing_of_before_it_was_in_force() public {
        Evidence memory evidence = _acceptsAt(alice, 1, START_BLOCK - 1, block.timestamp);
        _refused(evidence, _notInForce(alice));
        evidence = _acceptsAt(alice, 1, block.number, START_TIME - 1);
        _refused(evidence, _notInForce(alice));
    }

    function test_a_stolen_former_key_cannot_sign_itself_into_the_present(uint256 later) public {
        uint256 lastBlock = block.number - 1;
        Person memory former = alice;
        _rotate(alice, "alice's second key");
        _pass(bound(later, 12, 14 days));
        // With a block in which it was in force, and the time of now.
        Evidence memory evidence = _acceptsAt(former, 1, lastBlock, block.timestamp);
        _refused(evidence, _notInForce(former));
        evidence = _acceptsAt(former, 1, block.number, block.timestamp);
        _refused(evidence, _notInForce(former));
        // A fortnight after the rotation, nothing that it could sign is young enough.
        _pass(14 days);
        evidence = _acceptsAt(former, 1, lastBlock, block.timestamp - 14 days - 1);
        _refused(
            evidence, abi.encodeWithSelector(ISlashingCourt.EvidenceTooOld.selector, block.timestamp - 14 days - 1)
        );
    }

    function test_an_offence_with_a_former_key_is_still_an_offence() public {
        Evidence memory evidence = _doubleAccept(alice, 1);
        _pass(12);
        _rotate(alice, "alice's second key");
        _report(evidence);
        assertEq(_activeOf(alice), STAKE * 99 / 100, "active");
    }

    // The court itself

    function test_a_court_belongs_to_its_registry() public {
        vm.expectRevert(ISlashingCourt.WrongRegistry.selector);
        new SlashingCourt(staking, address(1));
        vm.expectRevert(ISlashingCourt.ZeroAddress.selector);
        new SlashingCourt(staking, address(0));
    }

    function test_a_registry_that_pays_out_too_early_has_no_court(uint48 unbonding) public {
        unbonding = uint48(bound(unbonding, 0, 22 days));
        address courtToBe = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        OtherRegistry registry = new OtherRegistry(courtToBe, unbonding);
        if (unbonding < 21 days) vm.expectRevert(ISlashingCourt.WrongRegistry.selector);
        SlashingCourt made = new SlashingCourt(INodeStaking(address(registry)), address(1));
        if (unbonding >= 21 days) assertEq(address(made), courtToBe, "a court");
    }

    function test_stake_leaves_later_than_evidence_grows_old_and_a_week() public view {
        assertGe(staking.UNBONDING(), court.MAX_EVIDENCE_AGE() + 7 days, "unbonding");
    }
}
