// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IExecutionLedger} from "./interfaces/IExecutionLedger.sol";
import {Allowance} from "./libraries/Allowance.sol";
import {Packed} from "./libraries/Packed.sol";
import {Order} from "./libraries/Statements.sol";

/// @title Reads a network order out of a plan, opens it before the route and settles it after
/// @dev The ledger checks who, when and what was signed; here it is only named.
abstract contract NetworkOrders {
    using Allowance for IERC20;
    using Packed for bytes;

    uint256 internal constant ORDER_BYTES = 211;

    IExecutionLedger private immutable LEDGER;

    constructor(address ledger) {
        LEDGER = IExecutionLedger(ledger);
    }

    /// @dev Open the order that begins at `offset`, for `token` and in this plan's last block; its route `uses` these.
    function _openOrder(
        bytes calldata plan,
        uint256 offset,
        address token,
        uint256 targetBlock,
        address hotKey,
        bytes32[] memory uses
    ) internal returns (Order memory order) {
        order.finder = plan.readAddress(offset);
        order.executor = plan.readAddress(offset + 20);
        order.payTo = plan.readAddress(offset + 40);
        order.targetBlock = uint64(targetBlock); // forge-lint: disable-line(unsafe-typecast)
        order.finderBps = uint16(plan.read(offset + 60, 2)); // forge-lint: disable-line(unsafe-typecast)
        order.minFinderWei = uint128(plan.read(offset + 62, 16)); // forge-lint: disable-line(unsafe-typecast)
        order.profitToken = token;
        order.primaryKey = bytes32(plan.read(offset + 78, 32));
        order.routeCommit = bytes32(plan.read(offset + 110, 32));
        uint256 entry = plan.read(offset + 142, 4);
        plan.read(offset + 146 + 33, 32); // the signature's end lies within the plan
        LEDGER.open(order, plan[offset + 146:offset + ORDER_BYTES], entry, hotKey, uses);
    }

    /// @dev Pay the finder, and the fee, out of the net profit; return what that took.
    function _settleOrder(Order memory order, uint256 net) internal returns (uint256) {
        (uint256 paid, uint256 fee) = LEDGER.dues(order, net);
        IERC20(order.profitToken).lend(address(LEDGER), paid + fee);
        LEDGER.settle(order, net);
        return paid + fee;
    }
}
