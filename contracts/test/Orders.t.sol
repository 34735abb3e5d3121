// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Order} from "../src/libraries/Statements.sol";
import {OrdersWorld} from "./base/OrdersWorld.sol";
import {Header, Plans} from "./base/Plans.sol";

/// Orders of the network, by the executor itself and the ledger itself: the finder is paid, and the Safe gets the rest.
contract OrdersTest is OrdersWorld {
    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
    }

    function _ordered(uint8 source, uint128 borrowed, uint96 bid, uint16 bps, uint128 floor, bytes memory hops)
        private
        view
        returns (bytes memory)
    {
        (Order memory order, bytes memory signature) = network.order(weth, bps, floor);
        Header memory header = Plans.loan(source, borrowed);
        header.bid = bid;
        return _ordered(header, order, signature, hops);
    }

    function _finder() private view returns (address payTo) {
        (Order memory order,) = network.order(weth, 1, 1);
        return order.payTo;
    }

    function _run(uint256 drawn, bytes memory plan) private returns (uint256) {
        vm.prank(key);
        return module.execute(address(safe), weth, drawn, plan);
    }

    function _proceeds(uint256 amountIn) private returns (uint256) {
        return _poolQuote(usdc, weth, 500, _pairQuote("uniswap_v2_router", weth, usdc, amountIn));
    }

    function _check(uint256 drawn, uint256 net, uint256 due, bytes memory plan) private {
        uint256 before = IERC20(weth).balanceOf(address(safe));
        assertEq(_run(drawn, plan), net - due, "P18: the profit returned");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + net - due, "P14: the Safe's balance");
        assertEq(IERC20(weth).balanceOf(_finder()), due, "P10: the finder's balance");
        assertEq(IERC20(weth).allowance(address(executor), network.ledgerAddress()), 0, "P17: an allowance is left");
        _assertExecutorIsEmpty();
    }

    function test_pays_the_finder_its_share_and_the_safe_the_rest(uint256 drawn, uint16 bps, uint256 floor) public {
        drawn = bound(drawn, 0.01 ether, 10 ether);
        bps = uint16(bound(bps, 0, 10_000));
        uint256 net = _proceeds(drawn) - drawn;
        floor = bound(floor, 1, net);
        uint256 share = (net * bps + 9_999) / 10_000;
        uint256 due = share > floor ? share : floor;
        _check(drawn, net, due, _ordered(Plans.NOBODY, 0, 0, bps, uint128(floor), _twoHops()));
    }

    function test_pays_out_of_what_a_loan_and_a_builder_leave(uint128 borrowed, uint96 bid) public {
        borrowed = uint128(bound(borrowed, 0.1 ether, 10 ether));
        uint256 profit = _proceeds(borrowed) - borrowed;
        bid = uint96(bound(bid, 0, profit / 2 < BID_CAP ? profit / 2 : BID_CAP));
        uint256 due = ((profit - bid) * 6_000 + 9_999) / 10_000;
        _check(0, profit - bid, due, _ordered(Plans.BALANCER, borrowed, bid, 6_000, 1, _twoHops()));
        assertEq(builder.balance, bid, "the builder's ether");
    }

    function test_is_refused_where_the_floor_is_more_than_there_is() public {
        uint256 proceeds = _proceeds(1 ether);
        uint256 floor = proceeds - 1 ether + 1;
        bytes memory plan = _ordered(Plans.NOBODY, 0, 0, 6_000, uint128(floor), _twoHops());
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds - floor, 1 ether));
        _run(1 ether, plan);
    }

    function test_is_refused_at_a_loss() public {
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth));
        uint256 proceeds = _pairQuote("uniswap_v2_router", usdc, weth, _poolQuote(weth, usdc, 500, 1 ether));
        bytes memory plan = _ordered(Plans.NOBODY, 0, 0, 6_000, 1, hops);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds, 1 ether));
        _run(1 ether, plan);
    }

    /// All of it for the builder: then there is no share, and no floor that the vault would pay.
    function test_is_refused_where_the_builder_leaves_nothing() public {
        uint256 proceeds = _proceeds(1 ether);
        uint96 bid = uint96(proceeds - 1 ether);
        bytes memory plan = _ordered(Plans.NOBODY, 0, bid, 6_000, 1, _twoHops());
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds - 1, 1 ether + bid));
        _run(1 ether, plan);
        plan = _ordered(Plans.NOBODY, 0, bid + 1, 6_000, 1, _twoHops());
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds, 1 ether + bid + 1));
        _run(1 ether, plan);
    }
}
