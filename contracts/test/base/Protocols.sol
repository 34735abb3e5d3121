// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What the tests themselves ask of the genuine contracts.

interface IPairRouter {
    function getAmountsOut(uint256 amountIn, address[] calldata path) external view returns (uint256[] memory amounts);
}

interface IPairFactory {
    function getPair(address tokenA, address tokenB) external view returns (address pair);
    function createPair(address tokenA, address tokenB) external returns (address pair);
}

interface IPair {
    function mint(address to) external returns (uint256 liquidity);
    function skim(address to) external;
    function sync() external;
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
}

interface IPoolFactory {
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address pool);
    function createPool(address tokenA, address tokenB, uint24 fee) external returns (address pool);
}

interface IPool {
    function initialize(uint160 sqrtPriceX96) external;
    function mint(address recipient, int24 tickLower, int24 tickUpper, uint128 amount, bytes calldata data)
        external
        returns (uint256 amount0, uint256 amount1);
}

interface IPoolQuoter {
    struct Question {
        address tokenIn;
        address tokenOut;
        uint256 amountIn;
        uint24 fee;
        uint160 sqrtPriceLimitX96;
    }

    function quoteExactInputSingle(Question memory question)
        external
        returns (uint256 amountOut, uint160 sqrtPriceAfter, uint32 ticksCrossed, uint256 gasEstimate);
}

interface IBalancerQuestions {
    struct SingleSwap {
        bytes32 poolId;
        uint8 kind;
        address assetIn;
        address assetOut;
        uint256 amount;
        bytes userData;
    }

    struct FundManagement {
        address sender;
        bool fromInternalBalance;
        address payable recipient;
        bool toInternalBalance;
    }

    function querySwap(SingleSwap memory single, FundManagement memory funds) external returns (uint256 amountOut);
}

interface IMintable {
    function minter() external view returns (address);
    function mint(address to, uint256 amount) external;
}

interface IEther {
    function deposit() external payable;
}

interface IAaveLending {
    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16 referralCode)
        external;
    function FLASHLOAN_PREMIUM_TOTAL() external view returns (uint128);
}

interface ISafeAccount {
    function getThreshold() external view returns (uint256);
    function getOwners() external view returns (address[] memory);
    function getModulesPaginated(address start, uint256 pageSize)
        external
        view
        returns (address[] memory modules, address next);
    function getStorageAt(uint256 offset, uint256 length) external view returns (bytes memory);
    function nonce() external view returns (uint256);
    function approveHash(bytes32 hash) external;
    function enableModule(address module) external;
    function disableModule(address previous, address module) external;
    function getTransactionHash(
        address to,
        uint256 value,
        bytes calldata data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        uint256 nonce
    ) external view returns (bytes32);
    function execTransaction(
        address to,
        uint256 value,
        bytes calldata data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address payable refundReceiver,
        bytes memory signatures
    ) external payable returns (bool);
}

interface ISingletonQuoter {
    struct PoolKey {
        address currency0;
        address currency1;
        uint24 fee;
        int24 tickSpacing;
        address hooks;
    }

    struct Question {
        PoolKey key;
        bool zeroForOne;
        uint128 exactAmount;
        bytes hookData;
    }

    function quoteExactInputSingle(Question memory question) external returns (uint256 amountOut, uint256 gasEstimate);
}

interface ISingletonManager {
    function initialize(ISingletonQuoter.PoolKey memory key, uint160 sqrtPriceX96) external returns (int24 tick);
    function unlock(bytes calldata data) external returns (bytes memory);
}

interface ICurveQuestions {
    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256);
}

interface IPriceAggregator {
    function latestRound() external view returns (uint256);
    function submit(uint256 roundId, int256 answer) external;
}

interface IMorphoMarkets {
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    function position(bytes32 id, address user)
        external
        view
        returns (uint256 supplyShares, uint128 borrowShares, uint128 collateral);
    function accrueInterest(MarketParams memory params) external;
    function market(bytes32 id)
        external
        view
        returns (uint128, uint128, uint128 borrowAssets, uint128 borrowShares, uint128, uint128);
    function liquidate(
        MarketParams memory params,
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes memory data
    ) external returns (uint256 seized, uint256 repaid);
    function flashLoan(address token, uint256 assets, bytes calldata data) external;
}

interface IAaveAccounts {
    function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken)
        external;
    function getUserAccountData(address user)
        external
        view
        returns (uint256, uint256 debtBase, uint256, uint256, uint256, uint256 health);
}

interface IPoolOracle {
    function increaseObservationCardinalityNext(uint16 next) external;
    function observe(uint32[] calldata secondsAgos) external view returns (int56[] memory ticks, uint160[] memory);
    function slot0() external view returns (uint160 sqrtPriceX96, int24 tick, uint16, uint16, uint16, uint8, bool);
}

interface IPoolRouter {
    struct Swap {
        address tokenIn;
        address tokenOut;
        uint24 fee;
        address recipient;
        uint256 deadline;
        uint256 amountIn;
        uint256 amountOutMinimum;
        uint160 sqrtPriceLimitX96;
    }

    function exactInputSingle(Swap calldata swap) external returns (uint256 amountOut);
}

interface IPriceOracle {
    function getSourceOfAsset(address token) external view returns (address feed);
}

interface IFeedProxy {
    function aggregator() external view returns (address);
    function latestAnswer() external view returns (int256);
}

interface IFeedAggregator {
    function getOracles() external view returns (address[] memory);
    function latestRound() external view returns (uint256);
    function submit(uint256 round, int256 answer) external;
}
