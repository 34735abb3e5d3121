// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {FixedRatePool, ModestPool, SilentPool, UnsignedPool} from "./base/CurvePools.sol";
import {Plans} from "./base/Plans.sol";
import {ICurveQuestions} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Hops on pools with Curve's interface, in both shapes.
contract CurveTest is WorldTest {
    uint8 private constant DAI = 0;
    uint8 private constant USDC = 1;

    address private stable;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
        stable = _contract("curve_stable_pool");
    }

    function _stableQuote(uint8 i, uint8 j, uint256 amountIn) private view returns (uint256) {
        return ICurveQuestions(stable).get_dy(int128(uint128(i)), int128(uint128(j)), amountIn);
    }

    function test_on_a_stable_pool_and_on_to_a_pair(uint256 drawn) public {
        drawn = bound(drawn, 1e13, 20 ether);
        uint256 dollars = _stableQuote(USDC, DAI, _pairQuote("uniswap_v2_router", weth, usdc, drawn));
        uint256 expected = _pairQuote("sushi_router", dai, weth, dollars);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        bytes memory hops =
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.curve(dai, stable, USDC, DAI), Plans.sushi(weth));
        assertEq(_execute(drawn, Plans.pack(Plans.own(), hops)), expected - drawn, "P18: the profit returned");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + expected - drawn, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_on_a_stable_pool_and_on_to_a_concentrated_one() public {
        uint256 dollars = _stableQuote(USDC, DAI, _pairQuote("uniswap_v2_router", weth, usdc, 1 ether));
        uint256 expected = _poolQuote(dai, weth, 3000, dollars);
        bytes memory hops =
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.curve(dai, stable, USDC, DAI), Plans.uniswapV3(weth, 3000));
        assertEq(_execute(1 ether, Plans.pack(Plans.own(), hops)), expected - 1 ether, "the profit");
        _assertExecutorIsEmpty();
    }

    // Pools of our own making, on an executor that lists them and that this test calls itself

    function _list(address pool) private {
        ExecutorBindings memory bindings = _bindings();
        bindings.module = address(this);
        bindings.curvePools[0] = pool;
        executor = new ArbExecutor(bindings);
        _give(usdc, pool, 10_000_000e6);
        _give(dai, pool, 10_000_000e18);
    }

    function _run(uint256 drawn, bytes memory hops) private returns (uint256 owed) {
        _give(usdc, address(executor), drawn);
        owed = executor.execute(alice, usdc, drawn, 0, Plans.pack(Plans.own(), hops));
        IERC20(usdc).transferFrom(address(executor), address(this), owed);
        _assertExecutorIsEmpty();
    }

    function test_on_a_pool_with_unsigned_indices(uint256 drawn) public {
        drawn = bound(drawn, 1e3, 1_000_000e6);
        UnsignedPool pool = new UnsignedPool(usdc, dai, 1.01e30);
        _list(address(pool));
        uint256 dollars = pool.quote(0, drawn);
        uint256 expected = _poolQuote(dai, usdc, 100, dollars);
        uint256 owed =
            _run(drawn, abi.encodePacked(Plans.curveCrypto(dai, address(pool), 0, 1), Plans.uniswapV3(usdc, 100)));
        assertEq(owed, expected, "P18: what is owed");
    }

    function test_on_a_pool_that_does_not_answer(uint256 drawn) public {
        drawn = bound(drawn, 1e3, 1_000_000e6);
        SilentPool pool = new SilentPool(usdc, dai, 1.01e30);
        _list(address(pool));
        uint256 expected = _poolQuote(dai, usdc, 100, pool.quote(0, drawn));
        uint256 owed = _run(drawn, abi.encodePacked(Plans.curve(dai, address(pool), 0, 1), Plans.uniswapV3(usdc, 100)));
        assertEq(owed, expected, "P18: what is owed");
    }

    function test_leaves_no_allowance_to_a_pool_that_takes_less() public {
        ModestPool pool = new ModestPool(usdc, dai, 1.01e30);
        _list(address(pool));
        bytes memory hops = abi.encodePacked(Plans.curve(dai, address(pool), 0, 1), Plans.uniswapV3(usdc, 100));
        _give(usdc, address(executor), 1_000e6);
        executor.execute(alice, usdc, 1_000e6, 0, Plans.pack(Plans.own(), hops));
        assertEq(IERC20(usdc).allowance(address(executor), address(pool)), 0, "P17: an allowance is left");
    }

    // Refused

    function test_on_a_pool_that_is_not_listed_is_refused(address pool) public {
        vm.assume(pool != stable);
        bytes memory hops =
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.curve(dai, pool, USDC, DAI), Plans.sushi(weth));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.PoolNotListed.selector, pool));
        _execute(1 ether, plan);
    }

    function test_of_a_coin_that_the_route_does_not_hold_is_refused() public {
        bytes memory hops =
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.curve(dai, stable, DAI, USDC), Plans.sushi(weth));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        // the coin in is not allowed to be taken
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        _execute(1 ether, plan);
    }

    function test_of_a_coin_other_than_the_plans_is_refused() public {
        uint8 usdt = 2;
        bytes memory hops =
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.curve(dai, stable, USDC, usdt), Plans.sushi(weth));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        // nothing comes out, and a pair gives nothing for nothing
        vm.expectRevert(bytes("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"));
        _execute(1 ether, plan);
    }
}
