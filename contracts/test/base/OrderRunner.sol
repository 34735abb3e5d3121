// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IExecutionLedger} from "../../src/interfaces/IExecutionLedger.sol";
import {Order} from "../../src/libraries/Statements.sol";
import {PlainToken} from "./PlainToken.sol";

/// @title An executor contract as the ledger sees one; its routes earn what they are told to
contract OrderRunner {
    IExecutionLedger private immutable LEDGER;

    constructor(IExecutionLedger ledger) {
        LEDGER = ledger;
    }

    /// As an executor does it: open, earn, allow what is due, settle. The hot key is who calls.
    function run(Order calldata order, bytes calldata signature, uint256 index, uint256 net)
        external
        returns (uint256 paid, uint256 fee)
    {
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
        earn(order.profitToken, net);
        (paid, fee) = LEDGER.dues(order, net);
        allow(order.profitToken, paid + fee);
        return LEDGER.settle(order, net);
    }

    // The steps, one by one

    function earn(address token, uint256 net) public {
        PlainToken(token).mint(address(this), net);
    }

    function allow(address token, uint256 amount) public {
        IERC20(token).approve(address(LEDGER), amount);
    }

    function openOnly(Order calldata order, bytes calldata signature, uint256 index, address hotKey)
        external
        returns (bytes32)
    {
        return LEDGER.open(order, signature, index, hotKey, new bytes32[](0));
    }

    function openUsing(
        Order calldata order,
        bytes calldata signature,
        uint256 index,
        address hotKey,
        bytes32[] calldata uses
    ) external returns (bytes32) {
        return LEDGER.open(order, signature, index, hotKey, uses);
    }

    function settleOnly(Order calldata order, uint256 net) external {
        LEDGER.settle(order, net);
    }

    function openTwice(Order calldata order, bytes calldata signature, uint256 index) external {
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
    }

    function openAndSettleAnother(Order calldata order, bytes calldata signature, uint256 index, Order calldata another)
        external
    {
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
        LEDGER.settle(another, 1 ether);
    }

    function openAndLetSettle(Order calldata order, bytes calldata signature, uint256 index, OrderRunner other)
        external
    {
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
        other.settleOnly(order, 1 ether);
    }

    function settleTwice(Order calldata order, bytes calldata signature, uint256 index, uint256 net) external {
        LEDGER.open(order, signature, index, msg.sender, new bytes32[](0));
        earn(order.profitToken, 2 * net);
        allow(order.profitToken, type(uint256).max);
        LEDGER.settle(order, net);
        LEDGER.settle(order, net);
    }
}
