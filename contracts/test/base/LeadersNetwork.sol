// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../src/libraries/Statements.sol";
import {NetworkTest} from "./NetworkTest.sol";

/// @title A network in which alice leads every block and bob finds, beside a world with vaults
contract LeadersNetwork is NetworkTest {
    function begin() external {
        setUp();
        _join(alice, 1_000 ether);
        _register(bob);
        skip(12);
        this.nextEpoch();
    }

    /// Alice checks in for the next epoch that is open, and it begins.
    function nextEpoch() external {
        uint256 epoch = block.number / LENGTH + 1;
        if (block.number >= epoch * LENGTH - CUT_OFF) _goTo(epoch++ * LENGTH);
        _checkIn(alice, epoch);
        _startEpoch(epoch, keccak256("mix"));
    }

    function isRolled() external view returns (bool) {
        return ledger.epochAt(block.number / LENGTH).rolled;
    }

    /// Governance names an executor.
    function admit(address executor) external {
        vm.prank(address(timelock));
        ledger.setExecutor(executor, true);
    }

    function ledgerAddress() external view returns (address) {
        return address(ledger);
    }

    /// The leader's hot key, which is a vault's.
    function leadersKey() external view returns (address) {
        return alice.key;
    }

    /// Whose turn it is in the block of an order.
    function leader() external view returns (address) {
        return alice.account;
    }

    /// An order of bob's for this block and its leader.
    function order(address token, uint16 finderBps, uint128 minFinderWei)
        external
        view
        returns (Order memory made, bytes memory signature)
    {
        return orderFor(alice.account, block.number, token, finderBps, minFinderWei);
    }

    /// An order of bob's, as he signed it: for anybody's turn in any block.
    function orderFor(address whose, uint256 targetBlock, address token, uint16 finderBps, uint128 minFinderWei)
        public
        view
        returns (Order memory made, bytes memory signature)
    {
        made = _order(bob, whose, targetBlock);
        (made.profitToken, made.finderBps, made.minFinderWei) = (token, finderBps, minFinderWei);
        signature = _signOrder(bob, made);
    }
}
