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
}

interface IPoolFactory {
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address pool);
    function createPool(address tokenA, address tokenB, uint24 fee) external returns (address pool);
}

interface IPool {
    function initialize(uint160 sqrtPriceX96) external;
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
