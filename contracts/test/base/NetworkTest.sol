// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {EmergencyBrake} from "../../src/EmergencyBrake.sol";
import {ExecutionLedger} from "../../src/ExecutionLedger.sol";
import {GovernorSettings, HftGovernor} from "../../src/HftGovernor.sol";
import {NetworkParameters} from "../../src/NetworkParameters.sol";
import {RewardStream} from "../../src/RewardStream.sol";
import {WorkRewards} from "../../src/WorkRewards.sol";
import {Cut, Epoch, LedgerBindings} from "../../src/interfaces/IExecutionLedger.sol";
import {Order} from "../../src/libraries/Statements.sol";
import {Headers} from "./Headers.sol";
import {OrderRunner} from "./OrderRunner.sol";
import {PlainToken} from "./PlainToken.sol";
import {Person, StakingTest} from "./StakingTest.sol";
import {Words} from "./Words.sol";

/// @title The whole network, deployed as it is meant to be: the deployer is left with nothing
abstract contract NetworkTest is StakingTest {
    uint256 internal constant LENGTH = 30;
    uint256 internal constant CUT_OFF = 12;
    uint256 internal constant LAG = 6;
    uint256 internal constant TIMELOCK_DELAY = 2 days;
    uint48 internal constant VOTING_DELAY = 1 days;
    uint32 internal constant VOTING_PERIOD = 5 days;
    uint256 internal constant THRESHOLD = 100 ether;
    uint256 internal constant FEE_BPS = 100;
    /// The epoch that is under way when a test begins, from its first block on.
    uint256 internal constant EPOCH = START_BLOCK / LENGTH;

    address internal immutable guardian = makeAddr("guardian Safe");

    PlainToken internal weth;
    TimelockController internal timelock;
    NetworkParameters internal parameters;
    EmergencyBrake internal brake;
    RewardStream internal stream;
    ExecutionLedger internal ledger;
    WorkRewards internal work;
    HftGovernor internal governor;
    OrderRunner internal runner;

    function setUp() public virtual override {
        _begin();
        _deployNetwork();
        runner = new OrderRunner(ledger);
        vm.prank(address(timelock));
        ledger.setExecutor(address(runner), true);
    }

    function _deployNetwork() internal {
        weth = new PlainToken("WETH");
        timelock = new TimelockController(TIMELOCK_DELAY, new address[](0), new address[](0), address(this));
        address ledgerToBe = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 6);
        _deployCore(address(timelock), ledgerToBe);
        parameters = new NetworkParameters(address(timelock), 100 ether, FEE_BPS, 5_000);
        brake = new EmergencyBrake(address(staking), address(timelock), guardian);
        stream = new RewardStream(address(weth), staking);
        ledger = new ExecutionLedger(_bindings(), Cut(LENGTH, CUT_OFF, LAG));
        work = new WorkRewards(token, address(staking), parameters);
        governor = new HftGovernor(IVotes(address(staking)), timelock, _settings());
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governor));
        timelock.grantRole(timelock.CANCELLER_ROLE(), address(governor));
        timelock.grantRole(timelock.EXECUTOR_ROLE(), address(0));
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), address(this));
    }

    function _bindings() internal view returns (LedgerBindings memory) {
        return LedgerBindings({
            staking: address(staking),
            parameters: address(parameters),
            brake: address(brake),
            stream: address(stream),
            governance: address(timelock)
        });
    }

    function _settings() internal pure returns (GovernorSettings memory) {
        return GovernorSettings(VOTING_DELAY, VOTING_PERIOD, THRESHOLD, 10);
    }

    // Epochs

    function _checkIn(Person memory person, uint256 epoch) internal {
        vm.prank(person.key);
        ledger.checkIn(epoch);
    }

    /// Go to the first block of an epoch and give it a seed.
    function _startEpoch(uint256 epoch, bytes32 mixHash) internal {
        _goTo(epoch * LENGTH);
        ledger.roll(epoch, _seal(ledger.seedBlockOf(epoch), mixHash));
    }

    function _goTo(uint256 blockNumber) internal {
        if (blockNumber <= block.number) return;
        skip((blockNumber - block.number) * 12);
        vm.roll(blockNumber);
    }

    /// Make a header that of a past block.
    function _seal(uint256 blockNumber, bytes32 mixHash) internal returns (bytes memory header) {
        header = Headers.header(blockNumber, block.timestamp, mixHash);
        vm.setBlockhash(blockNumber, keccak256(header));
    }

    function _leader(uint256 blockNumber) internal view returns (uint256 index, address operator) {
        Epoch memory epoch = ledger.epochAt(blockNumber / LENGTH);
        uint256 draw = ledger.drawOf(blockNumber);
        while (ledger.entryAt(blockNumber / LENGTH, index).cumulativeStake <= draw) ++index;
        assertLt(index, epoch.entries, "an entry");
        operator = ledger.entryAt(blockNumber / LENGTH, index).operator;
    }

    // Orders

    function _order(Person memory finder, address executor, uint256 targetBlock) internal view returns (Order memory) {
        return Order({
            finder: finder.account,
            executor: executor,
            targetBlock: uint64(targetBlock),
            finderBps: 6_000,
            minFinderWei: 0.01 ether,
            profitToken: address(weth),
            payTo: finder.account,
            primaryKey: keccak256("leg"),
            routeCommit: keccak256("route")
        });
    }

    function _signOrder(Person memory finder, Order memory order) internal view returns (bytes memory) {
        return _sign(finder.secret, Words.hashOrder(abi.encode(order)));
    }

    function _personOf(address account) internal view returns (Person memory) {
        Person[4] memory all = [alice, bob, carol, dave];
        for (uint256 i = 0; i < 4; ++i) {
            if (all[i].account == account) return all[i];
        }
        revert("nobody");
    }

    // Governance

    /// Alice proposes, all that are named vote for it, and it is executed.
    function _govern(address target, bytes memory data, string memory text) internal {
        _decide(target, data, text);
        skip(TIMELOCK_DELAY);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(target, data);
        governor.execute(targets, values, calls, keccak256(bytes(text)));
    }

    /// The same, up to the Timelock's delay.
    function _decide(address target, bytes memory data, string memory text) internal {
        uint256 id = _propose(alice.account, target, data, text);
        skip(VOTING_DELAY + 1);
        Person[4] memory all = [alice, bob, carol, dave];
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(all[i].account);
            governor.castVote(id, 1);
        }
        skip(VOTING_PERIOD);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(target, data);
        governor.queue(targets, values, calls, keccak256(bytes(text)));
    }

    function _propose(address by, address target, bytes memory data, string memory text) internal returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(target, data);
        vm.prank(by);
        return governor.propose(targets, values, calls, text);
    }

    function _calls(address target, bytes memory data)
        internal
        pure
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        (targets[0], calls[0]) = (target, data);
    }
}
