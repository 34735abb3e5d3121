// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {TickMath} from "@uniswap/v4-core/src/libraries/TickMath.sol";
import {IConcentratedOracle} from "../src/interfaces/external/IConcentratedOracle.sol";
import {IPriceFeed} from "../src/interfaces/external/IPriceFeed.sol";
import {Change, ChangeKind, IVaultModule, Market} from "../src/interfaces/IVaultModule.sol";
import {MarketPrice} from "../src/libraries/MarketPrice.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {Plans} from "./base/Plans.sol";
import {IPoolOracle} from "./base/Protocols.sol";
import {SettableFeed} from "./malicious/Feeds.sol";

/// P15: a fresh feed and a mean of half an hour that agree, or no trade; and of the two the worse one counts.
contract PricesTest is InventoryTest {
    SettableFeed private lying;

    /// The vault's feed is one that answers what the test wants.
    function _pinLyingFeed() private {
        lying = new SettableFeed(8);
        _loosen(_feedChange(weth, address(lying), MAX_AGE));
        lying.set(int256(_marketDollars()), block.timestamp);
    }

    function _refusesBothWays(bytes4 reason) private {
        bytes memory plan = _toDollars();
        vm.expectPartialRevert(reason);
        _sellWeth(1 ether, plan);
        plan = _toWeth();
        vm.expectPartialRevert(reason);
        _buyWeth(1_000e6, plan);
    }

    function test_a_feed_is_fresh_up_to_its_greatest_age() public {
        skip(MAX_AGE);
        _sellWeth(1 ether, _toDollars());
        skip(1);
        _refusesBothWays(IVaultModule.FeedStale.selector);
    }

    function test_a_feed_that_dates_itself_into_the_future_is_refused(uint256 ahead) public {
        _pinLyingFeed();
        lying.set(int256(_marketDollars()), block.timestamp + bound(ahead, 1, type(uint128).max));
        _refusesBothWays(IVaultModule.FeedUnusable.selector);
    }

    function test_an_answer_that_is_no_price_is_refused(int256 answer) public {
        _pinLyingFeed();
        lying.set(answer > 0 ? -answer : answer, block.timestamp);
        _refusesBothWays(IVaultModule.FeedUnusable.selector);
        lying.set(0, block.timestamp);
        _refusesBothWays(IVaultModule.FeedUnusable.selector);
        lying.set(int256(uint256(type(uint96).max)) + 1, block.timestamp);
        _refusesBothWays(IVaultModule.FeedUnusable.selector);
    }

    function test_a_feed_that_lies_is_refused(uint256 dollarsE8) public {
        _pinLyingFeed();
        dollarsE8 = bound(dollarsE8, 1, type(uint96).max);
        uint256 market = _marketDollars();
        if (dollarsE8 > market * 97 / 100 && dollarsE8 < market * 103 / 100) dollarsE8 = market / 2;
        lying.set(int256(dollarsE8), block.timestamp);
        _refusesBothWays(IVaultModule.PricesDisagree.selector);
    }

    function test_a_pool_that_was_moved_for_half_an_hour_is_refused() public {
        _push(usdc, 9_000_000e6);
        uint256 honest = _marketDollars() * 9 / 10;
        _answer(honest);
        skip(MAX_AGE / 2);
        _refusesBothWays(IVaultModule.PricesDisagree.selector);
    }

    function test_a_pool_that_was_moved_just_now_changes_no_price() public {
        uint256 market = _marketDollars();
        _push(usdc, 9_000_000e6);
        assertGt(_marketDollars(), market * 102 / 100, "the pool has moved");
        _pinStingyWithoutWaiting();
        _sellWeth(1 ether, abi.encode(_worth(1 ether, market)));
    }

    function _pinStingyWithoutWaiting() private {
        vm.etch(address(executor), address(stingy).code);
        _give(usdc, address(executor), 1_000_000e6);
    }

    function test_of_the_two_prices_the_worse_one_counts() public {
        _pinLyingFeed();
        _pinStingyWithoutWaiting();
        _give(weth, address(executor), 100 ether);
        uint256 market = _marketDollars();
        lying.set(int256(market * 101 / 100), block.timestamp);
        uint256 worth = _worth(10 ether, market);
        _sellWeth(10 ether, abi.encode(worth)); // worth at the pool's price is one percent less than by the feed
        (uint256 losses,) = module.levelsOf(address(safe));
        assertApproxEqAbs(losses, worth / 100, worth / 2_000, "sold at the feed's price, which is the higher");
        skip(1 days);
        lying.set(int256(market * 99 / 100), block.timestamp);
        _sellWeth(10 ether, abi.encode(worth));
        (losses,) = module.levelsOf(address(safe));
        assertLe(losses, worth / 2_000, "sold at the pool's price, which is the higher");
        _buyWeth(10_000e6, abi.encode(10_000e26 / market));
        (losses,) = module.levelsOf(address(safe));
        assertApproxEqAbs(losses, 100e6, 10e6, "bought at the feed's price, which is the lower");
    }

    function test_a_pool_without_half_an_hour_of_memory_is_refused() public {
        address other = _pool(weth, usdc, 3000);
        _loosen(Change(ChangeKind.Pool, weth, uint160(other)));
        _answer(_marketDollars());
        bytes memory plan = _toDollars();
        _sellWeth(1 ether, plan); // its last observation is long ago
        vm.mockCallRevert(
            other, abi.encodeWithSelector(IPoolOracle.observe.selector), abi.encodeWithSignature("Error(string)", "OLD")
        );
        vm.expectRevert(bytes("OLD"));
        _sellWeth(1 ether, plan);
    }

    function test_a_mean_of_ticks_is_rounded_down(int256 passed) public {
        passed = bound(passed, -1_000 * 30 minutes, -1);
        int56[] memory cumulatives = new int56[](2);
        cumulatives[1] = int56(passed);
        address pool = makeAddr("pool");
        vm.mockCall(pool, abi.encodeWithSelector(IConcentratedOracle.token0.selector), abi.encode(weth));
        vm.mockCall(pool, abi.encodeWithSelector(IConcentratedOracle.token1.selector), abi.encode(usdc));
        bytes memory answer = abi.encode(cumulatives, new uint160[](2));
        vm.mockCall(pool, abi.encodeWithSelector(IPoolOracle.observe.selector), answer);
        int256 tick = -int256(Math.ceilDiv(uint256(-passed), 30 minutes));
        uint256 root = TickMath.getSqrtPriceAtTick(int24(tick));
        (uint256 low,) = new PriceReader(new SettableFeed(8), pool).read(weth, usdc);
        assertEq(low, root * root >> 96, "the price of the tick below the mean");
    }

    function test_a_pool_of_other_tokens_is_refused() public {
        address other = _pool(weth, dai, 3000);
        _loosen(Change(ChangeKind.Pool, weth, uint160(other)));
        _answer(_marketDollars());
        bytes memory plan = _toDollars();
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.WrongPool.selector, weth, other));
        _sellWeth(1 ether, plan);
    }

    function test_without_a_feed_or_a_pool_there_is_no_price() public {
        bytes memory plan = _toDollars();
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.Pool, weth, 0));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.NoPool.selector, weth));
        _sellWeth(1 ether, plan);
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.Feed, weth, 0));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.NoFeed.selector, weth));
        _sellWeth(1 ether, plan);
    }

    function test_prices_of_other_decimals_and_either_order_of_tokens_are_right() public {
        // WETH, of 18 decimals, is the unit; dollars, of 6, and bitcoin, of 8, are what is priced in it
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.Unit, address(0), 0));
        SettableFeed dollar = new SettableFeed(18);
        Change[7] memory changes = [
            _feedChange(usdc, address(dollar), MAX_AGE),
            Change(ChangeKind.Pool, usdc, uint160(pool)),
            Change(ChangeKind.LossBand, address(0), LOSS_BAND),
            Change(ChangeKind.Agreement, address(0), AGREEMENT),
            Change(ChangeKind.MaxLoss, address(0), 1 ether),
            Change(ChangeKind.MaxTurnover, address(0), 100 ether),
            Change(ChangeKind.HeldAtMost, usdc, MOST_USDC)
        ];
        for (uint256 i = 0; i < changes.length; ++i) {
            _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (changes[i])));
        }
        _loosen(Change(ChangeKind.Unit, weth, 0));
        for (uint256 i = 0; i < changes.length; ++i) {
            module.enact(address(safe), changes[i]);
        }
        dollar.set(int256(1e26 / _marketDollars()), block.timestamp);
        _sellWeth(1 ether, _toDollars());
        (uint256 losses, uint256 turnover) = module.levelsOf(address(safe));
        assertEq(turnover, 1 ether, "turnover");
        assertLt(losses, 0.02 ether, "losses");
        _buyWeth(1_000e6, _toWeth());
        (, turnover) = module.levelsOf(address(safe));
        assertApproxEqRel(turnover, 1 ether + _inWeth(1_000e6), 0.02e18, "turnover of both");
    }
}

/// What the library reads from a feed that says 1 and a pool.
contract PriceReader {
    Market private market;

    constructor(SettableFeed feed, address pool) {
        feed.set(1e8, block.timestamp);
        market.feed = IPriceFeed(address(feed));
        market.decimals = 8;
        market.maxAge = 1;
        market.pool = IConcentratedOracle(pool);
    }

    function read(address token, address unit) external view returns (uint256 low, uint256 high) {
        MarketPrice.Price memory price = MarketPrice.read(market, token, unit, 0, 2_000);
        return (price.low, price.high);
    }
}
