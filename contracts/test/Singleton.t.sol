// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Plans} from "./base/Plans.sol";
import {ISingletonManager, ISingletonQuoter} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Hops on Uniswap V4: pools of two tokens, and one that holds ether where the route holds WETH.
contract SingletonTest is WorldTest {
    address private constant ETHER = address(0);

    function _check(uint256 drawn, bytes memory hops, uint256 expected) private {
        uint256 before = IERC20(weth).balanceOf(address(safe));
        assertEq(_execute(drawn, Plans.pack(Plans.own(), hops)), expected - drawn, "P18: the profit returned");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + expected - drawn, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_out_of_a_pool_of_two_tokens(uint256 drawn) public {
        _makeWethDearOnUniswapV2(1_000_000);
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc), Plans.uniswapV4(weth, 3000, 60));
        _check(drawn, hops, _singletonQuote(usdc, weth, 3000, 60, dollars));
    }

    function test_into_a_pool_of_two_tokens_and_on_to_a_pair(uint256 drawn) public {
        _sellWethOnUniswapV2(300 ether);
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _singletonQuote(weth, usdc, 3000, 60, drawn);
        bytes memory hops = abi.encodePacked(Plans.uniswapV4(usdc, 3000, 60), Plans.uniswapV2(weth));
        _check(drawn, hops, _pairQuote("uniswap_v2_router", usdc, weth, dollars));
    }

    function test_out_of_a_pool_that_holds_ether(uint256 drawn) public {
        _makeWethDearOnUniswapV2(1_000_000);
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc), Plans.uniswapV4InEther(weth, 500, 10));
        _check(drawn, hops, _singletonQuote(usdc, ETHER, 500, 10, dollars));
    }

    function test_into_a_pool_that_holds_ether(uint256 drawn) public {
        _sellWethOnUniswapV2(300 ether);
        drawn = bound(drawn, 1e12, 20 ether);
        uint256 dollars = _singletonQuote(ETHER, usdc, 500, 10, drawn);
        bytes memory hops = abi.encodePacked(Plans.uniswapV4InEther(usdc, 500, 10), Plans.uniswapV2(weth));
        _check(drawn, hops, _pairQuote("uniswap_v2_router", usdc, weth, dollars));
    }

    /// What comes out as ether goes on to a pair as WETH.
    function test_from_ether_to_a_pair_in_the_middle_of_a_route() public {
        _makeWethDearOnUniswapV2(1_000_000);
        _sellWethOnSushi(200 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 2 ether);
        uint256 amount = _singletonQuote(usdc, ETHER, 500, 10, dollars);
        dollars = _pairQuote("uniswap_v2_router", weth, dai, amount);
        uint256 expected = _pairQuote("sushi_router", dai, weth, dollars);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV2(usdc), Plans.uniswapV4InEther(weth, 500, 10), Plans.uniswapV2(dai), Plans.sushi(weth)
        );
        _check(2 ether, hops, expected);
    }

    function _sellWethOnSushi(uint256 amountIn) private {
        (bool found, bytes memory answer) =
            _contract("sushi_factory").staticcall(abi.encodeWithSignature("getPair(address,address)", weth, dai));
        assertTrue(found, "the pair");
        address pair = abi.decode(answer, (address));
        uint256 amountOut = _pairQuote("sushi_router", weth, dai, amountIn);
        _give(weth, pair, amountIn);
        (uint256 out0, uint256 out1) = weth < dai ? (uint256(0), amountOut) : (amountOut, uint256(0));
        (bool done,) = pair.call(
            abi.encodeWithSignature("swap(uint256,uint256,address,bytes)", out0, out1, makeAddr("trader"), "")
        );
        assertTrue(done, "the sale");
    }

    function test_two_hops_on_the_manager_in_one_route() public {
        _makeWethDearOnUniswapV2(1_000_000);
        address usdt = _token("USDT");
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 others = _singletonQuote(usdc, usdt, 100, 1, dollars);
        uint256 back = _singletonQuote(usdt, usdc, 100, 1, others / 2);
        assertGt(back, 0, "the pool has both");
        uint256 snapshot = vm.snapshotState();
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV2(usdc),
            Plans.uniswapV4(usdt, 100, 1),
            Plans.uniswapV4(usdc, 100, 1),
            Plans.uniswapV3(weth, 500)
        );
        uint256 profit = _execute(1 ether, Plans.pack(Plans.own(), hops));
        _assertExecutorIsEmpty();
        vm.revertToState(snapshot);
        hops = abi.encodePacked(Plans.uniswapV2(usdc), Plans.uniswapV3(weth, 500));
        uint256 straight = _execute(1 ether, Plans.pack(Plans.own(), hops));
        assertLt(profit, straight, "the detour costs its fees");
        assertGt(profit, straight - 0.001 ether, "and no more");
    }

    function test_on_a_pool_that_is_not_initialised_is_refused() public {
        bytes memory hops = abi.encodePacked(Plans.uniswapV4(usdc, 3001, 60), Plans.uniswapV2(weth));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        vm.expectRevert(bytes4(keccak256("PoolNotInitialized()")));
        _execute(1 ether, plan);
    }

    function test_that_a_pool_fills_only_in_part_is_refused() public {
        (address currency0, address currency1) = weth < wbtc ? (weth, wbtc) : (wbtc, weth);
        ISingletonManager(_contract("uniswap_v4_pool_manager"))
            .initialize(ISingletonQuoter.PoolKey(currency0, currency1, 100, 1, address(0)), 1 << 96); // no liquidity
        bytes memory plan =
            Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV4(wbtc, 100, 1), Plans.uniswapV3(weth, 500)));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.PartialFill.selector, 0, 1 ether));
        _execute(1 ether, plan);
    }

    function test_below_its_minimum_is_refused() public {
        _makeWethDearOnUniswapV2(1_000_000);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 bought = _singletonQuote(usdc, weth, 3000, 60, dollars);
        uint32 minimum = Plans.rounded(2 * bought);
        bytes memory hop = abi.encodePacked(uint8(4), weth, uint24(3000), uint24(60), minimum);
        bytes memory plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(usdc), hop));
        uint256 least = uint256(minimum & 0xffffff) << (minimum >> 24);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.LegBelowMinimum.selector, 1, bought, least));
        _execute(1 ether, plan);
    }

    // Ether

    function test_ether_of_strangers_is_refused_also_out_of_the_manager() public {
        EtherTaker taker = new EtherTaker(_contract("uniswap_v4_pool_manager"));
        vm.deal(address(taker), 1 ether);
        vm.deal(address(this), 1);
        (bool done, bytes memory answer) = address(executor).call{value: 1}("");
        assertFalse(done, "ether was taken");
        assertEq(bytes4(answer), IArbExecutor.UnexpectedEther.selector, "the reason");
        bytes memory wrapped = abi.encodeWithSignature( // by the manager: whose call failed, why, and what it was for
            "WrappedError(address,bytes4,bytes,bytes)",
            address(executor),
            bytes4(0),
            abi.encodePacked(IArbExecutor.UnexpectedEther.selector),
            abi.encodePacked(bytes4(keccak256("NativeTransferFailed()")))
        );
        vm.expectRevert(wrapped);
        taker.send(address(executor), 1 ether);
        assertEq(address(executor).balance, 0, "P17: ether is left");
    }

    function test_the_manager_may_not_be_unlocked_in_our_name() public {
        vm.prank(_contract("uniswap_v4_pool_manager"));
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.unlockCallback(abi.encode(weth, usdc, uint24(500), int24(10), true, 1 ether, mallory));
    }
}

/// Puts ether into Uniswap V4's manager and lets it pay that out to somebody else.
contract EtherTaker {
    address private immutable MANAGER;
    address private to;

    constructor(address manager) {
        MANAGER = manager;
    }

    function send(address to_, uint256 amount) external {
        to = to_;
        ISingletonManager(MANAGER).unlock(abi.encode(amount));
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        uint256 amount = abi.decode(data, (uint256));
        (bool settled,) = MANAGER.call{value: amount}(abi.encodeWithSignature("settle()"));
        (bool taken, bytes memory why) =
            MANAGER.call(abi.encodeWithSignature("take(address,address,uint256)", address(0), to, amount));
        if (!settled || !taken) {
            assembly ("memory-safe") {
                revert(add(why, 32), mload(why))
            }
        }
        return "";
    }
}
