// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Executions that draw, on each venue; every amount against what the genuine contracts themselves quote.
contract ExecuteTest is WorldTest {
    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
    }

    function _check(uint256 drawn, bytes memory hops, uint256 expected) private {
        uint256 before = IERC20(weth).balanceOf(address(safe));
        vm.expectEmit(address(module));
        emit IVaultModule.Executed(address(safe), weth, drawn, expected - drawn);
        uint256 profit = _execute(drawn, Plans.pack(Plans.own(), hops));
        assertEq(profit, expected - drawn, "P18: the profit returned");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + profit, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_from_pair_to_pair(uint256 drawn) public {
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        uint256 expected = _pairQuote("sushi_router", usdc, weth, dollars);
        _check(drawn, abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(weth)), expected);
    }

    function test_from_pair_to_pool(uint256 drawn) public {
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        _check(drawn, _twoHops(), _poolQuote(usdc, weth, 500, dollars));
    }

    function test_from_pair_to_balancer(uint256 drawn) public {
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc), Plans.balancer(weth, wethUsdcPoolId));
        _check(drawn, hops, _balancerQuote(wethUsdcPoolId, usdc, weth, dollars));
    }

    function test_along_every_venue_in_one_route() public {
        uint256 drawn = 3 ether;
        uint256 amount = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        amount = _poolQuote(usdc, dai, 100, amount);
        amount = _pairQuote("sushi_router", dai, weth, amount);
        uint256 dollars = _balancerQuote(wethUsdcPoolId, weth, usdc, amount);
        uint256 expected = _poolQuote(usdc, weth, 3000, dollars);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV2(usdc),
            Plans.uniswapV3(dai, 100),
            Plans.sushi(weth),
            Plans.balancer(usdc, wethUsdcPoolId),
            Plans.uniswapV3(weth, 3000)
        );
        _check(drawn, hops, expected);
    }

    function test_with_each_legs_minimum_at_what_comes_out() public {
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 2 ether);
        uint256 expected = _poolQuote(usdc, weth, 500, dollars);
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc, dollars), Plans.uniswapV3(weth, 500, expected));
        _check(2 ether, hops, expected);
    }

    function test_in_a_token_of_which_nothing_may_be_drawn_by_a_loan() public {
        uint256 borrowed = 5_000e6;
        uint256 bought = _poolQuote(usdc, weth, 500, borrowed);
        uint256 expected = _pairQuote("uniswap_v2_router", weth, usdc, bought) - borrowed;
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(weth, 500), Plans.uniswapV2(usdc));
        vm.prank(alice);
        uint256 profit = module.execute(address(safe), usdc, 0, Plans.pack(Plans.loan(Plans.BALANCER, borrowed), hops));
        assertEq(profit, expected, "the profit");
        assertEq(IERC20(usdc).balanceOf(address(safe)), expected, "the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_is_refused_to_everyone_but_the_hot_key(address caller) public {
        vm.assume(caller != alice);
        vm.prank(caller);
        vm.expectRevert(IVaultModule.NotOperator.selector);
        module.execute(address(safe), weth, 1 ether, _plan(Plans.own()));
    }

    function test_is_refused_for_a_token_that_is_not_pinned() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TokenNotPinned.selector, dai));
        module.execute(address(safe), dai, 0, _plan(Plans.loan(Plans.AAVE, 1 ether)));
    }

    function test_draws_no_more_than_the_maximum(uint256 drawn) public {
        drawn = bound(drawn, uint256(MAX_DRAW) + 1, type(uint256).max);
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DrawAboveMaximum.selector, drawn, MAX_DRAW));
        module.execute(address(safe), weth, drawn, plan);
    }

    function test_draws_no_more_than_the_safe_has() public {
        vm.prank(address(safe));
        assertTrue(IERC20(weth).transfer(mallory, PRINCIPAL - 1 ether), "a withdrawal");
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(IVaultModule.DrawRefused.selector);
        module.execute(address(safe), weth, 2 ether, plan);
    }

    function test_does_not_count_what_strangers_send_in(uint256 gift) public {
        gift = bound(gift, 1, 1_000 ether);
        _give(weth, address(executor), gift);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 expected = _poolQuote(usdc, weth, 500, dollars) - 1 ether;
        assertEq(_execute(1 ether, _plan(Plans.own())), expected, "the profit");
        assertEq(IERC20(weth).balanceOf(address(executor)), gift, "the gift stays where it is");
    }
}
