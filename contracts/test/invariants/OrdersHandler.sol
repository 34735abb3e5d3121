// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Order} from "../../src/libraries/Statements.sol";
import {OrdersWorld} from "../base/OrdersWorld.sol";
import {Header, Plans} from "../base/Plans.sol";

/// @title Orders run by the executor itself, out of a vault, on the genuine protocols and the genuine ledger
contract OrdersHandler is OrdersWorld {
    uint256 private constant KINDS = 8;
    uint256 private constant OF_ANOTHER_LEADER = 1;
    uint256 private constant IN_ANOTHER_BLOCK = 2;
    uint256 private constant SIGNED_FOR_LESS = 3;
    uint256 private constant BY_A_STRANGER = 4;

    uint256 public executions;
    uint256 public refusals;
    /// P9: how often an order ran that was not this leader's, not of this block, or not what its finder signed.
    uint256 public intrusions;
    /// P10: how often the finder got less than its share, or less than its floor.
    uint256 public unpaid;
    /// P14: how often the Safe did not get what was left.
    uint256 public losses;
    /// P18: how often less than the plan's minimum was left.
    uint256 public shortfalls;

    modifier nextBlock() {
        vm.roll(block.number + 1);
        skip(12);
        if (!network.isRolled()) network.nextEpoch();
        _;
    }

    function trade(uint256 dollars) external nextBlock {
        _makeWethDearOnUniswapV2(bound(dollars, 1_000, 500_000));
    }

    /// With what is drawn, or (`drawn` odd) with a loan; good, or (`how`) wrong in one way.
    function execute(uint256 drawn, uint256 bps, uint256 floor, uint256 minimum, uint256 bid, uint256 how)
        external
        nextBlock
    {
        uint256 amount = bound(drawn, 0.01 ether, 5 ether);
        Header memory header = drawn % 2 == 0 ? Plans.own() : Plans.loan(Plans.BALANCER, amount);
        header.minimumProfit = uint128(bound(minimum, 0, 0.01 ether));
        header.bid = uint96(bound(bid, 0, 0.01 ether));
        how %= KINDS;
        (Order memory order, bytes memory signature) = network.orderFor(
            how == OF_ANOTHER_LEADER ? mallory : network.leader(),
            how == IN_ANOTHER_BLOCK ? block.number + 1 : block.number,
            weth,
            uint16(bound(bps, 0, 10_000)),
            uint128(bound(floor, 1, 0.05 ether))
        );
        if (how == SIGNED_FOR_LESS) order.finderBps = order.finderBps == 0 ? 1 : order.finderBps - 1;
        bytes memory plan = _ordered(header, order, signature, _twoHops());
        _attempt(header.borrowed == 0 ? amount : 0, header, order, plan, how);
    }

    function _attempt(uint256 drawn, Header memory header, Order memory order, bytes memory plan, uint256 how) private {
        uint256 held = IERC20(weth).balanceOf(address(safe));
        uint256 earned = IERC20(weth).balanceOf(order.payTo);
        vm.prank(how == BY_A_STRANGER ? mallory : key);
        try module.execute(address(safe), weth, drawn, plan) returns (uint256 profit) {
            ++executions;
            if (how != 0 && how <= BY_A_STRANGER) ++intrusions;
            uint256 kept = IERC20(weth).balanceOf(address(safe)) - held;
            uint256 paid = IERC20(weth).balanceOf(order.payTo) - earned;
            uint256 share = ((kept + paid) * order.finderBps + 9_999) / 10_000;
            if (paid < share || paid < order.minFinderWei) ++unpaid;
            if (kept != profit) ++losses;
            if (kept < header.minimumProfit) ++shortfalls;
        } catch {
            ++refusals;
        }
    }

    function assertNothingIsLeft() external view {
        _assertExecutorIsEmpty();
        uint256 allowance = IERC20(weth).allowance(address(executor), network.ledgerAddress());
        assertEq(allowance, 0, "P17: the executor's allowance");
        assertEq(IERC20(weth).balanceOf(network.ledgerAddress()), 0, "P17: the ledger's balance");
    }
}
