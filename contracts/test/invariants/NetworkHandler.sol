// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Operator} from "../../src/interfaces/INodeStaking.sol";
import {Parameter} from "../../src/interfaces/INetworkParameters.sol";
import {Evidence, OffenceState} from "../../src/interfaces/ISlashingCourt.sol";
import {Attestation, Order} from "../../src/libraries/Statements.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";
import {FeeToken} from "../malicious/FeeToken.sol";

/// @title Everything that anybody does in the network, at random, and what came of it
/// @dev What a contract rightly refuses is counted and ends there. What must not be refused (exits, payments out) is
/// counted as a violation if it is. Some actions are thefts: if one succeeds, that is a violation too.
contract NetworkHandler is NetworkTest {
    struct Loss {
        uint256 time;
        uint256 amount;
    }

    uint256 public refusals;
    uint256 public executions;
    uint256 public slashes;
    uint256 public exits;
    uint256 public pauses;
    uint256 public decisions;

    /// P3: how often stake on its way out was not charged in full.
    uint256 public escaped;
    /// P5: how often an exit was refused that had no lock and no time to wait for.
    uint256 public blockedExits;
    /// P6: how often one offence was punished again.
    uint256 public repeatedSlashes;
    /// P7: how often an operator lost more than a tenth in 30 days.
    uint256 public excessiveLosses;
    /// P8: how often evidence that proves nothing slashed.
    uint256 public unprovenSlashes;
    /// P9: how often somebody executed outside of block and turn.
    uint256 public intrusions;
    /// P10: how often a finder got less than its due.
    uint256 public unpaid;
    /// P13: how often somebody else than the governor did what is the governor's.
    uint256 public usurpations;
    /// P20: how often the brake kept somebody from what never pauses.
    uint256 public blockedByBrake;

    Person[4] public operators;
    mapping(address operator => uint256) public claimed;
    mapping(uint256 week => uint256) public claimedOfWeek;
    uint256 public streamFunded;
    uint256 public streamPaid;
    bytes32[] public offences;
    mapping(bytes32 offenceId => bool) public wasPunished;
    mapping(address operator => Loss[]) private _losses;
    uint256 private _keys;
    uint256 private _alerts;
    FeeToken private taking;

    function setUp() public override {
        super.setUp();
        taking = new FeeToken();
        Person[4] memory all = [alice, bob, carol, dave];
        for (uint256 i = 0; i < 4; ++i) {
            operators[i] = all[i];
            _join(operators[i], (i + 1) * 1_000 ether);
        }
        _pass(1 days);
    }

    function _who(uint256 seed) private view returns (Person memory) {
        return operators[seed % 4];
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
        Operator memory operator = staking.operatorAt(person.account);
        uint256 kept = block.number <= operator.lockedThrough ? operator.locked : 0;
        if (operator.active <= kept) return;
        vm.prank(person.account);
        try staking.requestUnstake(bound(amount, 1, operator.active - kept)) {}
        catch {
            _countBlocked();
        }
    }

    /// Paid out as soon as it is ready: time goes by until then.
    function completeUnstake(uint256 who) external {
        Person memory person = _who(who);
        Operator memory operator = staking.operatorAt(person.account);
        if (operator.leaving == 0) return;
        if (block.timestamp < operator.readyAt && who % 4 == 0) return;
        if (block.timestamp < operator.readyAt) _pass(operator.readyAt - block.timestamp);
        vm.prank(person.account);
        try staking.completeUnstake() {
            ++exits;
        } catch {
            _countBlocked();
        }
    }

    function _countBlocked() private {
        if (brake.isPaused()) ++blockedByBrake;
        else ++blockedExits;
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

    // Epochs and orders

    function checkIn(uint256 who) external {
        vm.prank(_who(who).key);
        try ledger.checkIn(block.number / LENGTH + 1) {}
        catch {
            ++refusals;
        }
    }

    /// Those with enough stake check in, and the next epoch begins.
    function nextEpoch(uint256 seed) external {
        _nextEpoch(seed);
    }

    function _nextEpoch(uint256 seed) private {
        uint256 epoch = block.number / LENGTH + 1;
        if (block.number >= epoch * LENGTH - CUT_OFF) _goTo(epoch++ * LENGTH);
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(operators[i].key);
            try ledger.checkIn(epoch) {}
            catch {
                ++refusals;
            }
        }
        if (ledger.epochAt(epoch).entries != 0) _startEpoch(epoch, keccak256(abi.encode(seed)));
    }

    /// By the leader in its block, or (`how`) by another, in another block, with another index, in a token that takes.
    function execute(uint256 who, uint256 net, uint256 how) external {
        if (brake.isPaused() && net % 4 != 0) {
            vm.prank(address(timelock));
            brake.release();
        }
        if (!ledger.epochAt(block.number / LENGTH).rolled) _nextEpoch(who);
        if (!ledger.epochAt(block.number / LENGTH).rolled) return;
        (uint256 index, address account) = _leader(block.number);
        Person memory leader = _operator(account);
        Person memory finder = _who(who);
        how %= 6;
        Person memory by = how == 1 ? _other(leader) : leader;
        Order memory order = _order(finder, by.account, how == 2 ? block.number + 1 : block.number);
        if (how == 3) order.profitToken = address(taking);
        if (how == 4) index = index == 0 ? 1 : index - 1;
        order.minFinderWei = uint128(bound(net, 1, 2 ether));
        bool isWrong = how == 1 || how == 2 || how == 4;
        _run(finder, by, order, index, bound(net, 0.1 ether, 100 ether), isWrong);
    }

    function _run(Person memory finder, Person memory by, Order memory order, uint256 index, uint256 net, bool isWrong)
        private
    {
        FeeToken profit = FeeToken(order.profitToken);
        (uint256 due, uint256 fee) = ledger.dues(order, net);
        uint256 before = profit.balanceOf(order.payTo);
        uint256 shortOf = due + fee > net ? due + fee - net : 0;
        profit.mint(address(runner), shortOf);
        bytes memory signature = _signOrder(finder, order);
        vm.prank(by.key);
        try runner.run(order, signature, index, net) {
            ++executions;
            if (isWrong) ++intrusions;
            if (profit.balanceOf(order.payTo) < before + due) ++unpaid;
            streamFunded += fee;
        } catch {
            ++refusals;
        }
    }

    function _operator(address account) private view returns (Person memory person) {
        for (uint256 i = 0; i < 4; ++i) {
            if (operators[i].account == account) return operators[i];
        }
    }

    function _other(Person memory person) private view returns (Person memory) {
        return operators[0].account == person.account ? operators[1] : operators[0];
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

    // Governance

    /// From proposal to execution; a value outside its bounds is refused at the end.
    function govern(uint256 which, uint256 value) external {
        Parameter parameter = Parameter(which % 3);
        value = bound(value, 0, 1_000);
        if (parameter == Parameter.MinStake) value *= 1 ether;
        if (parameter == Parameter.AlertQuorumBps) value *= 10;
        if (_totalActive() == 0) return;
        bytes memory call = abi.encodeCall(parameters.set, (parameter, value));
        try this.governByAll(address(parameters), call, string.concat("proposal ", vm.toString(++_keys))) {
            ++decisions;
        } catch {
            ++refusals;
        }
    }

    function governByAll(address target, bytes calldata data, string calldata text) external {
        _govern(target, data, text);
    }

    /// What is the governor's and the Timelock's alone.
    function usurp(uint256 who, uint256 how) external {
        address[4] memory others = [mallory, guardian, _who(who).account, _who(who).key];
        bytes[8] memory thefts = [
            abi.encodeCall(timelock.schedule, (address(token), 0, "", 0, bytes32(_keys), TIMELOCK_DELAY)),
            abi.encodeCall(timelock.grantRole, (timelock.PROPOSER_ROLE(), mallory)),
            abi.encodeCall(parameters.set, (Parameter.MinStake, 1 ether)),
            abi.encodeCall(ledger.setExecutor, (mallory, true)),
            abi.encodeCall(token.mint, (mallory, 1)),
            abi.encodeCall(court.cancel, (offences.length == 0 ? bytes32(0) : offences[how % offences.length])),
            abi.encodeCall(staking.slash, (_who(how).account, 1)),
            abi.encodeCall(brake.release, ())
        ];
        address[8] memory targets = [
            address(timelock),
            address(timelock),
            address(parameters),
            address(ledger),
            address(token),
            address(court),
            address(staking),
            address(brake)
        ];
        vm.prank(others[who % 4]);
        (bool done,) = targets[how % 8].call(thefts[how % 8]);
        if (done) ++usurpations;
        else ++refusals;
    }

    // Rewards

    function fundStream(uint256 amount) external {
        amount = bound(amount, 1, 100 ether);
        weth.mint(address(stream), amount);
        streamFunded += amount;
    }

    function rollStream() external {
        _pass(1 days);
        try stream.roll() {}
        catch {
            _countPayment();
        }
    }

    function claimStream(uint256 who, uint256 pots) external {
        address account = _who(who).account;
        try stream.claim(account, bound(pots, 1, 10)) returns (uint256 amount) {
            streamPaid += amount;
            claimed[account] += amount;
        } catch {
            _countPayment();
        }
    }

    /// Payments are not refused, least of all by the brake.
    function _countPayment() private {
        if (brake.isPaused()) ++blockedByBrake;
        else ++refusals;
    }

    function _fundWork(uint256 amount) private {
        uint256 most = token.balanceOf(treasury) / 1_000;
        if (most == 0) return;
        vm.startPrank(treasury);
        amount = bound(amount, 1, most);
        token.approve(address(work), amount);
        work.fund(amount);
        vm.stopPrank();
    }

    /// All attest, or all but one; into a week's pot that gets something as well.
    function settleAlert(uint256 who, uint256 amount) external {
        _pass(12);
        _fundWork(amount);
        bytes32 hash = keccak256(abi.encode(block.number));
        vm.setBlockhash(block.number - 1, hash);
        Attestation memory attestation = Attestation(
            keccak256(abi.encode("work", ++_alerts)), hash, 1, uint64(block.number - 1), uint64(block.timestamp)
        );
        Person[4] memory sorted = _sorted();
        uint256 from = who % 2;
        address[] memory accounts = new address[](4 - from);
        bytes[] memory signatures = new bytes[](4 - from);
        for (uint256 i = from; i < 4; ++i) {
            bytes32 structHash = Words.hashAttestation(abi.encode(attestation));
            (accounts[i - from], signatures[i - from]) = (sorted[i].account, _sign(sorted[i].secret, structHash));
        }
        try work.settle(attestation, accounts, signatures) {}
        catch {
            ++refusals;
        }
    }

    function _sorted() private view returns (Person[4] memory sorted) {
        sorted = operators;
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 j = i + 1; j < 4; ++j) {
                if (sorted[j].account < sorted[i].account) (sorted[i], sorted[j]) = (sorted[j], sorted[i]);
            }
        }
    }

    /// Of the last weeks that are over, all of them more than once.
    function claimWork(uint256 who) external {
        for (uint256 back = 1; back < 31; ++back) {
            uint256 week = work.currentWeek() - back / 3 - 1;
            try work.claim(week, _who(who).account) returns (uint256 amount) {
                claimedOfWeek[week] += amount;
            } catch {
                ++refusals;
            }
        }
    }

    function carry(uint256 back) external {
        try work.carry(work.currentWeek() - bound(back, 1, 10)) {}
        catch {
            ++refusals;
        }
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

    function lastWeek() external view returns (uint256) {
        return work.currentWeek() - 1;
    }

    function _totalActive() private view returns (uint256 total) {
        for (uint256 i = 0; i < 4; ++i) {
            total += _activeOf(operators[i]);
        }
    }

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

    function assertStream() external view {
        assertEq(weth.balanceOf(address(stream)), streamFunded - streamPaid, "P11: something is lost");
        assertLe(stream.promised(), streamFunded - streamPaid, "P11: promised above what is there");
        for (uint256 i = 0; i < 4; ++i) {
            address account = operators[i].account;
            uint256 share;
            for (uint256 pot = 0; pot < stream.nextPot(account); ++pot) {
                uint256 votes = staking.getPastVotes(account, stream.potAt(pot).snapshot);
                share += uint256(stream.potAt(pot).amount) * votes / stream.potAt(pot).stake;
            }
            assertLe(claimed[account], share, "P11: paid above the share");
        }
    }

    function assertWork() external view {
        uint256 now_ = work.currentWeek();
        for (uint256 week = now_ - 60; week <= now_; ++week) {
            assertLe(claimedOfWeek[week], work.potOf(week), "P12: claimed above the pot");
        }
    }

    function assertGoverned() external view {
        assertEq(usurpations, 0, "P13: somebody else governed");
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 minimum, uint256 maximum) = parameters.boundsOf(Parameter(i));
            uint256 value = parameters.valueOf(Parameter(i));
            assertTrue(minimum <= value && value <= maximum, "P13: a parameter out of bounds");
        }
        bytes32[3] memory roles = [timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE(), timelock.DEFAULT_ADMIN_ROLE()];
        for (uint256 i = 0; i < 3; ++i) {
            assertFalse(timelock.hasRole(roles[i], address(this)), "P13: the deployer has a role");
            assertFalse(timelock.hasRole(roles[i], mallory), "P13: a thief has a role");
        }
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
