// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {TickMath} from "@uniswap/v4-core/src/libraries/TickMath.sol";
import {IVaultModule, Market} from "../interfaces/IVaultModule.sol";
import {IConcentratedOracle} from "../interfaces/external/IConcentratedOracle.sol";

/// @title What a token is worth in another one: by a feed and by a mean of the last half hour that agree
/// @dev Prices are smallest units of the unit for one smallest unit of the token, times 2^96.
library MarketPrice {
    /// Both answers, the lower first.
    struct Price {
        uint256 low;
        uint256 high;
    }

    uint32 internal constant TWAP_SECONDS = 30 minutes;
    uint256 internal constant ONE = 1 << 96;
    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant MAX_ANSWER = type(uint96).max;

    /// @dev Reverts unless both answers are there and differ by at most `agreementBps` of the lower one.
    function read(Market storage market, address token, address unit, uint256 decimals, uint256 agreementBps)
        internal
        view
        returns (Price memory price)
    {
        uint256 byFeed = _byFeed(market, token, decimals);
        uint256 byPool = _byPool(market.pool, token, unit);
        price = byFeed < byPool ? Price(byFeed, byPool) : Price(byPool, byFeed);
        if (price.high - price.low > Math.mulDiv(price.low, agreementBps, FULL_BPS)) {
            revert IVaultModule.PricesDisagree(token, byFeed, byPool);
        }
    }

    /// @dev The least that an amount is worth.
    function worthDown(Price memory price, uint256 amount) internal pure returns (uint256) {
        return Math.mulDiv(amount, price.low, ONE);
    }

    /// @dev The most that an amount is worth.
    function worthUp(Price memory price, uint256 amount) internal pure returns (uint256) {
        return Math.mulDiv(amount, price.high, ONE, Math.Rounding.Ceil);
    }

    function _byFeed(Market storage market, address token, uint256 decimals) private view returns (uint256) {
        if (address(market.feed) == address(0)) revert IVaultModule.NoFeed(token);
        (, int256 answer,, uint256 updatedAt,) = market.feed.latestRoundData();
        // above zero, so that the cast does nothing
        // forge-lint: disable-next-line(unsafe-typecast)
        if (answer <= 0 || uint256(answer) > MAX_ANSWER || updatedAt > block.timestamp) {
            revert IVaultModule.FeedUnusable(token, answer, updatedAt);
        }
        if (block.timestamp - updatedAt > market.maxAge) revert IVaultModule.FeedStale(token, updatedAt);
        // above zero
        // forge-lint: disable-next-line(unsafe-typecast)
        return Math.mulDiv(uint256(answer), 10 ** decimals * ONE, 10 ** uint256(market.decimals));
    }

    /// @dev The geometric mean price over `TWAP_SECONDS`.
    function _byPool(IConcentratedOracle pool, address token, address unit) private view returns (uint256) {
        if (address(pool) == address(0)) revert IVaultModule.NoPool(token);
        (address token0, address token1) = (pool.token0(), pool.token1());
        bool isToken0 = token0 == token && token1 == unit;
        if (!isToken0 && (token0 != unit || token1 != token)) revert IVaultModule.WrongPool(token, address(pool));
        uint32[] memory secondsAgos = new uint32[](2);
        secondsAgos[0] = TWAP_SECONDS;
        (int56[] memory cumulatives,) = pool.observe(secondsAgos);
        int56 passed = cumulatives[1] - cumulatives[0];
        int56 period = int56(uint56(TWAP_SECONDS));
        // a mean of ticks is a tick; rounded down, as OracleLibrary.consult of Uniswap V3's periphery does
        // forge-lint: disable-next-line(unsafe-typecast)
        int24 tick = int24(passed / period);
        if (passed < 0 && passed % period != 0) --tick;
        uint256 root = TickMath.getSqrtPriceAtTick(isToken0 ? tick : -tick);
        return Math.mulDiv(root, root, ONE);
    }
}
