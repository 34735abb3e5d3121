// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Evidence, OffenceState} from "../../src/interfaces/ISlashingCourt.sol";
import {Person} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";
import {GovernanceActions} from "./GovernanceActions.sol";
import {NetworkActors} from "./NetworkActors.sol";
import {OrderActions} from "./OrderActions.sol";
import {RewardActions} from "./RewardActions.sol";

/// @title Everything that anybody does in the network, at random, and what came of it
/// @dev What a contract rightly refuses is counted and ends there. What must not be refused (exits, payments out) is
/// counted as a violation if it is. Some actions are thefts: if one succeeds, that is a violation too.
contract NetworkHandler is OrderActions, RewardActions, GovernanceActions {
    struct Loss {
        uint256 time;
        uint256 amount;
    }

    uint256 public slashes;
    uint256 public exits;
    uint256 public pauses;

    /// P3: how often stake on its way out was not charged in full.
    uint256 public escaped;
    /// P6: how often one offence was punished again.
    uint256 public repeatedSlashes;
    /// P7: how often an operator lost more than a tenth in 30 days.
    uint256 public excessiveLosses;
    /// P8: how often evidence that proves nothing slashed.
    uint256 public unprovenSlashes;

    mapping(bytes32 offenceId => bool) public wasPunished;
    mapping(address operator => Loss[]) private _losses;

    function setUp() public override(NetworkActors, OrderActions) {
        OrderActions.setUp();
    }

    // Time

    function wait(uint256 time) external {
        _pass(bound(time, 12, 4 days));
    }

    // Token and stake

    function mint(uint256 amount) external {
        amount = bound(amount, 1, token.cap());
        vm.prank(address(timelock));
        try token.mint(treasury, amount) {}
        catch {
            ++refusals;
        }
    }

    function stakeMore(uint256 who, uint256 amount) external {
        uint256 most = token.balanceOf(treasury) / 1_000;
        if (most != 0) _stake(_who(who), bound(amount, 1, most));
    }

    function requestUnstake(uint256 who, uint256 amount) external {
        Person memory person = _who(who);
        (uint256 active, uint256 kept) = (_activeOf(person), _keptOf(person));
        if (active <= kept) return;
        vm.prank(person.account);
        try staking.requestUnstake(bound(amount, 1, active - kept)) {
            _noteRequest(person);
        } catch {
            _countBlocked();
        }
    }

    /// Paid out as soon as it is ready: time goes by until then.
    function completeUnstake(uint256 who) external {
        Person memory person = _who(who);
        if (_leavingOf(person) == 0) return;
        uint256 dueAt = _dueAt[person.account];
        if (block.timestamp < dueAt && who % 4 == 0) return;
        if (block.timestamp < dueAt) _pass(dueAt - block.timestamp);
        vm.prank(person.account);
        try staking.completeUnstake() {
            ++exits;
        } catch {
            _countBlocked();
        }
    }

    function rotate(uint256 who) external {
        _pass(12);
        operators[who % 4] = _rotate(_who(who), string.concat("key ", vm.toString(++_keys)));
    }

    function delegate(uint256 who, bool toMallory) external {
        vm.prank(_who(who).account);
        try staking.delegate(toMallory ? mallory : _who(who % 4 + 1).account) {}
        catch {
            ++refusals;
        }
    }

    // Slashing

    /// One of a few offences, so that some are reported again; with stake on its way out or not.
    function report(uint256 who, uint256 slot, bool attestation) external {
        Person memory person = _who(who);
        slot %= 40;
        bytes32 slotKey = attestation
            ? keccak256(abi.encode(keccak256(abi.encode("alert", slot)), keccak256("block")))
            : keccak256(abi.encode(uint64(slot + 1), keccak256(abi.encode("leg", slot))));
        bytes32 id = keccak256(abi.encode(person.account, attestation ? CONTRADICTION : DOUBLE_ACCEPT, slotKey));
        _reportOne(person, attestation ? _contradiction(person, slot) : _doubleAccept(person, slot), id);
    }

    function _reportOne(Person memory person, Evidence memory evidence, bytes32 id) private {
        uint256 stakeBefore = _activeOf(person) + _leavingOf(person);
        uint256 lost = _lostIn30Days(person.account);
        uint256 limit = (stakeBefore + lost) / 10;
        uint256 due = stakeBefore * (evidence.kind == CONTRADICTION ? 5 : 1) / 100;
        vm.prank(reporter);
        try court.report(evidence) {
            ++slashes;
            if (wasPunished[id]) ++repeatedSlashes;
            wasPunished[id] = true;
            offences.push(id);
            uint256 taken = stakeBefore - _activeOf(person) - _leavingOf(person);
            if (lost + taken > limit) ++excessiveLosses;
            if (taken < due && lost + taken < limit) ++escaped;
            _losses[person.account].push(Loss(block.timestamp, taken));
        } catch {
            ++refusals;
            if (!wasPunished[id] && due != 0 && lost + due <= limit) ++escaped;
        }
    }

    function _lostIn30Days(address operator) private view returns (uint256 lost) {
        for (uint256 i = 0; i < _losses[operator].length; ++i) {
            if (_losses[operator][i].time + 30 days > block.timestamp) lost += _losses[operator][i].amount;
        }
    }

    /// Evidence that proves nothing of `who`: forged, of a stranger, of a former key, of elsewhere, too old.
    function reportInnocent(uint256 who, uint256 how) external {
        Person memory person = _who(who);
        Evidence memory evidence = _doubleAccept(person, 1_000 + (++_alerts));
        (, uint256 secret) = makeAddrAndKey("mallory, the attacker");
        bytes32 hashB = Words.hashAccept(evidence.statementB);
        how %= 6;
        if (how == 0) evidence.signatureB = _sign(secret, hashB);
        if (how == 1) evidence.signatureA = Words.twin(evidence.signatureA);
        if (how == 2) evidence.signatureB = _signUnder(Words.separator(1, address(staking)), person.secret, hashB);
        if (how == 3) (evidence.statementB, evidence.signatureB) = (evidence.statementA, evidence.signatureA);
        if (how == 4) evidence = _acceptsAt(person, 9_999, block.number, block.timestamp - 14 days - 1);
        if (how == 5) {
            Person memory former = person;
            _pass(12);
            operators[who % 4] = _rotate(person, string.concat("key ", vm.toString(++_keys)));
            evidence = _doubleAccept(former, 2_000 + _keys);
        }
        vm.prank(mallory);
        try court.report(evidence) {
            ++unprovenSlashes;
        } catch {
            ++refusals;
        }
    }

    function endEscrow(uint256 which, bool cancel) external {
        if (offences.length == 0) return;
        bytes32 id = offences[which % offences.length];
        if (court.offenceAt(id).state != OffenceState.InEscrow) return;
        uint256 settleAt = court.offenceAt(id).settleAt;
        if (cancel) vm.prank(address(timelock));
        if (cancel) court.cancel(id);
        if (cancel) return;
        if (block.timestamp < settleAt) _pass(settleAt - block.timestamp);
        court.settle(id);
    }

    // The brake

    function guardianPauses() external {
        vm.prank(guardian);
        try brake.pause() {
            ++pauses;
        } catch {
            ++refusals;
        }
    }

    function stakePauses(uint256 first) external {
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(_who(first % 4 + i).key);
            try brake.supportPause() {}
            catch {
                ++refusals;
            }
        }
        if (brake.isPaused()) ++pauses;
    }

    function supportOther(uint256 who, uint256 how) external {
        vm.startPrank(_who(who).key);
        if (how % 2 == 0) {
            try brake.supportRelease() {}
            catch {
                ++refusals;
            }
        } else {
            try brake.supportScopePause(bytes32(uint256(uint160(address(weth))))) {}
            catch {
                ++refusals;
            }
        }
        vm.stopPrank();
    }

    function governanceReleases() external {
        vm.prank(address(timelock));
        try brake.release() {}
        catch {
            ++refusals;
        }
    }

    // What the invariants look at

    function assertSupply() external view {
        assertLe(token.totalSupply(), token.cap(), "P1: supply above cap");
    }

    function assertBacked() external view {
        uint256 owed = staking.escrow();
        for (uint256 i = 0; i < 4; ++i) {
            owed += _activeOf(operators[i]) + _leavingOf(operators[i]);
        }
        assertGe(token.balanceOf(address(staking)), owed, "P2: balance below active, leaving and escrow");
    }

    function assertVotes() external view {
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(staking.getVotes(operators[i].account), _activeOf(operators[i]), "P4: votes are not the stake");
        }
        assertEq(staking.getVotes(mallory), 0, "P4: votes without stake");
    }

    /// Of all windows of 30 days, the fullest ends with the end of a pause.
    function assertBudget() external view {
        for (uint256 last = 0; last < brake.pauseCount(); ++last) {
            uint256 until = brake.pauseAt(last).end;
            uint256 since = until - 30 days;
            uint256 used;
            for (uint256 i = 0; i <= last; ++i) {
                (uint256 start, uint256 end) = (brake.pauseAt(i).start, brake.pauseAt(i).end);
                if (end > since) used += end - (start > since ? start : since);
            }
            assertLe(used, 10 days, "P21: more than ten days in thirty");
        }
    }
}
