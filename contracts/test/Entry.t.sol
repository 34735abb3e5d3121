// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Vm} from "forge-std/Vm.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {Header, Plans} from "./base/Plans.sol";
import {IPair, IPairFactory} from "./base/Protocols.sol";

/// Where what is drawn goes: straight into the first pair, or to the executor; and how a pair pays a pool itself.
contract EntryTest is InventoryTest {
    uint8 private constant NETWORK = 0x10;
    uint256 private constant ORDER_BYTES = 211;

    address private pair;
    address private sushiPair;

    function setUp() public override {
        super.setUp();
        pair = _pair(weth, usdc);
        sushiPair = IPairFactory(_contract("sushi_factory")).getPair(weth, usdc);
    }

    function _entry(bytes memory hops) private view returns (address) {
        return executor.entryOf(weth, Plans.pack(Plans.own(), hops));
    }

    /// The `amount` of an ERC-20 that went from one to the other in what was recorded.
    function _sent(Vm.Log[] memory logs, address token, address from, address to)
        private
        pure
        returns (uint256 amount)
    {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != token || logs[i].topics[0] != IERC20.Transfer.selector) {
                continue;
            }
            bool isFrom = from == address(0) || logs[i].topics[1] == bytes32(uint256(uint160(from)));
            bool isTo = to == address(0) || logs[i].topics[2] == bytes32(uint256(uint160(to)));
            if (isFrom && isTo) amount += abi.decode(logs[i].data, (uint256));
        }
    }

    // What the executor says

    function test_of_a_route_that_begins_on_a_pair_is_that_pair() public view {
        assertEq(_entry(_twoHops()), pair, "Uniswap V2");
        assertEq(_entry(abi.encodePacked(Plans.sushi(usdc), Plans.uniswapV2(weth))), sushiPair, "SushiSwap");
    }

    function test_of_a_route_that_begins_elsewhere_is_the_executor() public view {
        bytes[7] memory hops = [
            Plans.uniswapV3(usdc, 500),
            Plans.balancer(usdc, wethUsdcPoolId),
            Plans.uniswapV4(usdc, 3000, 60),
            Plans.uniswapV4InEther(usdc, 500, 10),
            Plans.curve(dai, _contract("curve_stable_pool"), 1, 0),
            Plans.curveCrypto(dai, _contract("curve_stable_pool"), 1, 0),
            Plans.aaveLiquidation(usdc, alice)
        ];
        for (uint256 i = 0; i < hops.length; ++i) {
            assertEq(_entry(bytes.concat(hops[i], Plans.uniswapV2(weth))), address(executor), "the executor");
        }
    }

    function test_of_a_plan_that_borrows_is_the_executor(uint256 source) public view {
        source = bound(source, 1, 15);
        Header memory header = Plans.loan(uint8(source), 1 ether);
        assertEq(executor.entryOf(weth, Plans.pack(header, _twoHops())), address(executor), "first the lender");
        header.source |= NETWORK;
        assertEq(executor.entryOf(weth, Plans.pack(header, _twoHops())), address(executor), "of an order, too");
    }

    function test_of_an_order_is_behind_the_order(bytes32 noise) public view {
        Header memory header = Plans.own();
        header.source = NETWORK;
        bytes memory order = new bytes(ORDER_BYTES);
        for (uint256 i = 0; i < ORDER_BYTES; ++i) {
            order[i] = bytes1(keccak256(abi.encode(noise, i)));
        }
        assertEq(executor.entryOf(weth, Plans.pack(header, bytes.concat(order, _twoHops()))), pair, "the pair");
    }

    function test_of_tokens_without_a_pair_is_refused_before_anything_is_drawn(address stranger) public {
        vm.assume(IPairFactory(_contract("uniswap_v2_factory")).getPair(weth, stranger) == address(0));
        bytes memory plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(stranger), Plans.sushi(weth)));
        vm.expectPartialRevert(IArbExecutor.NoSuchPool.selector);
        executor.entryOf(weth, plan);
        vm.expectPartialRevert(IArbExecutor.NoSuchPool.selector);
        _execute(1 ether, plan);
    }

    function test_of_what_is_no_plan_is_refused(uint256 bytesLeft) public {
        bytes memory plan = _plan(Plans.own());
        bytes memory cut = new bytes(bound(bytesLeft, 0, 74)); // 50 before the hops and 25 of a hop on a pair
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = plan[i];
        }
        vm.expectRevert(IArbExecutor.MalformedPlan.selector);
        executor.entryOf(weth, cut);
        bytes memory unknown = Plans.pack(Plans.own(), abi.encodePacked(uint8(10), usdc, new bytes(100)));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.UnknownVenue.selector, 10));
        executor.entryOf(weth, unknown);
    }

    // Where the money goes

    function test_the_safe_pays_the_pair_and_the_pair_the_pool(uint256 drawn) public {
        _makeWethDearOnUniswapV2(1_000_000);
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        vm.recordLogs();
        uint256 profit = _execute(drawn, _plan(Plans.own()));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(_sent(logs, weth, address(safe), pair), drawn, "WETH from the Safe to the pair");
        assertEq(_sent(logs, weth, address(safe), address(0)), drawn, "WETH from the Safe");
        assertEq(_sent(logs, usdc, pair, _pool(weth, usdc, 500)), dollars, "USDC from the pair to the pool");
        assertEq(_sent(logs, usdc, address(0), address(executor)), 0, "USDC by way of the executor");
        assertEq(_sent(logs, weth, address(executor), address(0)), drawn + profit, "WETH from the executor");
        _assertExecutorIsEmpty();
    }

    function test_the_safe_pays_the_executor_where_no_pair_is_first(uint256 drawn) public {
        _sellWethOnUniswapV2(150 ether);
        drawn = bound(drawn, 1e12, 5 ether);
        vm.recordLogs();
        _execute(drawn, Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth))));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(_sent(logs, weth, address(safe), address(executor)), drawn, "WETH from the Safe to the executor");
        assertEq(_sent(logs, usdc, _pool(weth, usdc, 500), pair), _sent(logs, usdc, address(0), pair), "USDC");
    }

    function test_a_trade_pays_the_pair_too(uint256 amount) public {
        amount = bound(amount, 1e15, 2 ether);
        uint256 expected = _pairQuote("uniswap_v2_router", weth, usdc, amount);
        vm.recordLogs();
        assertEq(_sellWeth(amount, Plans.pack(Plans.own(), Plans.uniswapV2(usdc))), expected, "what came out");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(_sent(logs, weth, address(safe), pair), amount, "WETH from the Safe to the pair");
        assertEq(_sent(logs, weth, address(0), address(executor)), 0, "WETH by way of the executor");
        _assertExecutorIsEmpty();
    }

    function test_a_trade_goes_from_pair_to_pool(uint256 amount) public {
        amount = bound(amount, 1e15, 1 ether);
        uint256 expected = _poolQuote(dai, usdc, 100, _pairQuote("sushi_router", weth, dai, amount));
        bytes memory hops = abi.encodePacked(Plans.sushi(dai), Plans.uniswapV3(usdc, 100));
        assertEq(_sellWeth(amount, Plans.pack(Plans.own(), hops)), expected, "what came out");
        _assertExecutorIsEmpty();
    }

    function test_a_loan_goes_into_the_first_pair_with_what_is_drawn(uint256 drawn, uint256 borrowed) public {
        _makeWethDearOnUniswapV2(1_000_000);
        (drawn, borrowed) = (bound(drawn, 0, 5 ether), bound(borrowed, 1e12, 5 ether));
        vm.recordLogs();
        _execute(drawn, _plan(Plans.loan(Plans.BALANCER, borrowed)));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(_sent(logs, weth, address(safe), address(executor)), drawn, "WETH from the Safe to the executor");
        assertEq(_sent(logs, weth, address(executor), pair), drawn + borrowed, "WETH into the pair");
        _assertExecutorIsEmpty();
    }

    // Pairs that pay pools, in both directions and more than once

    function _out(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) private pure returns (uint256) {
        return amountIn * 997 * reserveOut / (reserveIn * 1000 + amountIn * 997);
    }

    function test_a_pair_that_gives_its_first_token_pays_as_one_that_gives_its_second(uint256 drawn) public {
        _sellWethOnUniswapV2(300 ether);
        drawn = bound(drawn, 1e14, 3 ether);
        uint256 amount = _poolQuote(weth, usdc, 500, drawn);
        amount = _pairQuote("uniswap_v2_router", usdc, weth, amount);
        uint256 before = IERC20(usdc).balanceOf(pair);
        amount = _poolQuote(weth, usdc, 3000, amount);
        amount = _pairQuote("sushi_router", usdc, weth, amount);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth), Plans.uniswapV3(usdc, 3000), Plans.sushi(weth)
        );
        assertEq(_execute(drawn, Plans.pack(Plans.own(), hops)), amount - drawn, "the profit");
        assertGt(IERC20(usdc).balanceOf(pair), before, "what the pair was paid");
        _assertExecutorIsEmpty();
    }

    /// What the pool sends would else come to the pair before the pair has given for what it was sent first.
    function test_a_pair_that_is_behind_the_pool_again_gives_twice(uint256 drawn) public {
        _makeWethDearOnUniswapV2(2_000_000);
        drawn = bound(drawn, 1e14, 3 ether);
        (uint256 reserveIn, uint256 reserveOut) = _reserves(pair, weth);
        uint256 dollars = _out(drawn, reserveIn, reserveOut);
        uint256 again = _poolQuote(usdc, weth, 500, dollars);
        uint256 dollarsAgain = _out(again, reserveIn + drawn, reserveOut - dollars);
        uint256 expected = _pairQuote("sushi_router", usdc, weth, dollarsAgain);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV2(usdc), Plans.uniswapV3(weth, 500), Plans.uniswapV2(usdc), Plans.sushi(weth)
        );
        assertEq(_execute(drawn, Plans.pack(Plans.own(), hops)), expected - drawn, "the profit");
        (uint256 inAfter, uint256 outAfter) = _reserves(pair, weth);
        assertEq(inAfter, reserveIn + drawn + again, "WETH in the pair");
        assertEq(outAfter, reserveOut - dollars - dollarsAgain, "USDC in the pair");
        _assertExecutorIsEmpty();
    }

    /// As above, with the pair's tokens the other way round.
    function test_a_pair_that_gives_its_first_token_and_is_behind_the_pool_again_gives_twice(uint256 drawn) public {
        _sellWethOnUniswapV2(600 ether);
        drawn = bound(drawn, 1e14, 1 ether);
        uint256 dollars = _poolQuote(weth, usdc, 500, drawn);
        (uint256 reserveIn, uint256 reserveOut) = _reserves(pair, usdc);
        uint256 ether_ = _out(dollars, reserveIn, reserveOut);
        uint256 again = _poolQuote(weth, usdc, 3000, ether_);
        uint256 etherAgain = _out(again, reserveIn + dollars, reserveOut - ether_);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth), Plans.uniswapV3(usdc, 3000), Plans.uniswapV2(weth)
        );
        assertEq(_execute(drawn, Plans.pack(Plans.own(), hops)), etherAgain - drawn, "the profit");
        (uint256 inAfter, uint256 outAfter) = _reserves(pair, usdc);
        assertEq(inAfter, reserveIn + dollars + again, "USDC in the pair");
        assertEq(outAfter, reserveOut - ether_ - etherAgain, "WETH in the pair");
        _assertExecutorIsEmpty();
    }

    function _reserves(address pair_, address tokenIn) private view returns (uint256 reserveIn, uint256 reserveOut) {
        (reserveIn, reserveOut,) = IPair(pair_).getReserves();
        if (tokenIn > (tokenIn == weth ? usdc : weth)) (reserveIn, reserveOut) = (reserveOut, reserveIn);
    }

    function test_what_a_pair_gives_is_held_against_its_minimum_where_it_pays_the_pool(uint256 drawn) public {
        _makeWethDearOnUniswapV2(1_000_000);
        drawn = bound(drawn, 1e15, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        uint256 tooMuch = dollars + (dollars >> 23) + 1; // 24 bits of it are held
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc, tooMuch), Plans.uniswapV3(weth, 500));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        vm.expectPartialRevert(IArbExecutor.LegBelowMinimum.selector);
        _execute(drawn, plan);
    }

    function test_what_a_pair_was_sent_beyond_its_books_stays_anybodys(uint256 gift) public {
        _makeWethDearOnUniswapV2(1_000_000);
        gift = bound(gift, 1, 10 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 expected = _poolQuote(usdc, weth, 500, dollars) - 1 ether;
        _give(weth, pair, gift); // and nobody has swapped for it
        vm.prank(alice);
        uint256 profit = module.execute(address(safe), weth, 1 ether, _plan(Plans.own()));
        assertEq(profit, expected, "the profit is that of what was drawn");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL + expected, "P14: the Safe's balance");
    }

    function test_only_a_call_of_the_module_moves_anything() public {
        bytes memory plan = _plan(Plans.own());
        vm.prank(mallory);
        vm.expectRevert(IArbExecutor.NotModule.selector);
        executor.execute(alice, weth, 1 ether, 0, plan);
        vm.prank(mallory);
        vm.expectRevert(IVaultModule.NotOperator.selector);
        module.execute(address(safe), weth, 1 ether, plan);
    }
}
