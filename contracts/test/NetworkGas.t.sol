// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Evidence} from "../src/interfaces/ISlashingCourt.sol";
import {Order} from "../src/libraries/Statements.sol";
import {NetworkTest} from "./base/NetworkTest.sol";
import {Person} from "./base/StakingTest.sol";

/// What taking part in the network costs, as transactions of their own: snapshots/NetworkGasTest.json.
/// forge-config: default.isolate = true
contract NetworkGasTest is NetworkTest {
    uint256 private constant NEXT = EPOCH + 1;

    function test_gas_of_an_operators_life() public {
        _register(alice);
        vm.snapshotGasLastCall("register");
        _stake(alice, 1_000 ether);
        vm.snapshotGasLastCall("stake, first");
        _join(bob, 1_000 ether);
        _checkIn(alice, NEXT);
        vm.snapshotGasLastCall("check in, first of an epoch");
        _checkIn(bob, NEXT);
        vm.snapshotGasLastCall("check in");
        _startEpoch(NEXT, keccak256("mix"));
        vm.snapshotGasLastCall("roll");
        Evidence memory evidence = _doubleAccept(alice, 1);
        vm.prank(reporter);
        court.report(evidence);
        vm.snapshotGasLastCall("report a double accept");
        vm.roll((NEXT + 1) * LENGTH);
        vm.prank(alice.account);
        staking.requestUnstake(1 ether);
        vm.snapshotGasLastCall("request to unstake");
        skip(21 days);
        vm.prank(alice.account);
        staking.completeUnstake();
        vm.snapshotGasLastCall("complete");
    }

    /// The finder has been paid before, the stream funded: what the ledger adds to an executor's transaction.
    function test_gas_of_a_network_order() public {
        _join(alice, 1_000 ether);
        _join(bob, 1_000 ether);
        _checkIn(alice, NEXT);
        _checkIn(bob, NEXT);
        _startEpoch(NEXT, keccak256("mix"));
        (uint256 index, address account) = _leader(block.number);
        Person memory leader = _personOf(account);
        Order memory order = _order(bob, account, block.number);
        bytes memory signature = _signOrder(bob, order);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(leader.key);
            runner.run(order, signature, index, 1 ether);
        }
        vm.snapshotGasLastCall("network order: open and settle, in an executor that earns by minting");
    }
}
