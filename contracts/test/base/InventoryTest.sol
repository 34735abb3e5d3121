// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule} from "../../src/interfaces/IVaultModule.sol";
import {StingyExecutor} from "../malicious/Executors.sol";
import {Header, Plans} from "./Plans.sol";
import {IFeedAggregator, IFeedProxy, IPoolOracle, IPoolRouter, IPriceOracle} from "./Protocols.sol";
import {WorldTest} from "./WorldTest.sol";

/// @title A vault in inventory mode: WETH against dollars, by the genuine feed and the genuine pool
abstract contract InventoryTest is WorldTest {
    uint16 internal constant LOSS_BAND = 150;
    uint16 internal constant AGREEMENT = 200;
    uint128 internal constant MAX_LOSS = 2_000e6;
    uint128 internal constant MAX_TURNOVER = 400_000e6;
    uint128 internal constant LEAST_WETH = 10 ether;
    uint128 internal constant MOST_WETH = 190 ether;
    uint128 internal constant MOST_USDC = 600_000e6;
    uint128 internal constant MAX_DRAW_USDC = 150_000e6;
    uint256 internal constant DOLLARS = 300_000e6;
    uint32 internal constant MAX_AGE = 1 hours;

    address internal feed;
    address internal pool;
    StingyExecutor internal stingy;

    function setUp() public virtual override {
        super.setUp();
        feed = IPriceOracle(_contract("aave_oracle")).getSourceOfAsset(weth);
        pool = _pool(weth, usdc, 500);
        IPoolOracle(pool).increaseObservationCardinalityNext(50);
        _give(usdc, address(safe), DOLLARS);
        stingy = new StingyExecutor();
        _turnOn(feed);
    }

    function _turnOn(address feed_) internal {
        Change[10] memory changes = [
            Change(ChangeKind.Token, usdc, MAX_DRAW_USDC),
            Change(ChangeKind.LossBand, address(0), LOSS_BAND),
            Change(ChangeKind.Agreement, address(0), AGREEMENT),
            Change(ChangeKind.MaxLoss, address(0), MAX_LOSS),
            Change(ChangeKind.MaxTurnover, address(0), MAX_TURNOVER),
            Change(ChangeKind.HeldAtLeast, weth, LEAST_WETH),
            Change(ChangeKind.HeldAtMost, weth, MOST_WETH),
            Change(ChangeKind.HeldAtMost, usdc, MOST_USDC),
            _feedChange(weth, feed_, MAX_AGE),
            Change(ChangeKind.Pool, weth, uint160(pool))
        ];
        for (uint256 i = 0; i < changes.length; ++i) {
            _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (changes[i])));
        }
        _loosen(Change(ChangeKind.Unit, usdc, 0));
        for (uint256 i = 0; i < changes.length; ++i) {
            module.enact(address(safe), changes[i]);
        }
        if (feed_ == feed) _answer(_marketDollars());
    }

    function _feedChange(address token, address feed_, uint256 maxAge) internal pure returns (Change memory) {
        return Change(ChangeKind.Feed, token, (maxAge << 160) | uint160(feed_));
    }

    /// The feed's oracle submits a new answer, of 8 decimals.
    function _answer(uint256 dollarsE8) internal {
        _answerOf(feed, dollarsE8);
    }

    function _answerOf(address feed_, uint256 dollarsE8) internal {
        IFeedAggregator aggregator = IFeedAggregator(IFeedProxy(feed_).aggregator());
        uint256 round = aggregator.latestRound() + 1;
        vm.prank(aggregator.getOracles()[0]);
        aggregator.submit(round, int256(dollarsE8));
    }

    /// The pool's price of one WETH now, in dollars of 8 decimals.
    function _marketDollars() internal view returns (uint256) {
        (uint160 root,,,,,,) = IPoolOracle(pool).slot0();
        uint256 squared = uint256(root) * root;
        if (weth < usdc) return (squared >> 64) * 1e18 * 1e2 >> 128;
        return 1e20 * (1 << 128) / (squared >> 64);
    }

    /// Someone trades on the pool until WETH is dearer, or cheaper, by so many dollars' worth.
    function _push(address tokenIn, uint256 amountIn) internal {
        address trader = makeAddr("trader");
        _give(tokenIn, trader, amountIn);
        address router = _contract("uniswap_v3_router");
        vm.startPrank(trader);
        IERC20(tokenIn).approve(router, amountIn);
        address tokenOut = tokenIn == weth ? usdc : weth;
        IPoolRouter(router)
            .exactInputSingle(IPoolRouter.Swap(tokenIn, tokenOut, 500, trader, block.timestamp, amountIn, 0, 0));
        vm.stopPrank();
    }

    /// From now on alice's trades give what she says; the executor has plenty.
    function _pinStingy() internal {
        _give(usdc, address(stingy), 10_000_000e6);
        _give(weth, address(stingy), 10_000 ether);
        _loosen(Change(ChangeKind.Executor, address(stingy), 0));
        _answer(_marketDollars());
    }

    function _sellWeth(uint256 amount, bytes memory plan) internal returns (uint256) {
        vm.prank(alice);
        return module.trade(address(safe), weth, amount, usdc, plan);
    }

    function _buyWeth(uint256 dollars, bytes memory plan) internal returns (uint256) {
        vm.prank(alice);
        return module.trade(address(safe), usdc, dollars, weth, plan);
    }

    function _toDollars() internal view returns (bytes memory) {
        return Plans.pack(Plans.own(), Plans.uniswapV3(usdc, 500));
    }

    function _toWeth() internal view returns (bytes memory) {
        return Plans.pack(Plans.own(), Plans.uniswapV3(weth, 500));
    }

    /// What so much WETH is worth at a price of 8 decimals, in dollars of 6.
    function _worth(uint256 amount, uint256 dollarsE8) internal pure returns (uint256) {
        return amount * dollarsE8 / 1e20;
    }

    /// The other way round.
    function _inWeth(uint256 dollars) internal view returns (uint256) {
        return dollars * 1e20 / _marketDollars();
    }
}
