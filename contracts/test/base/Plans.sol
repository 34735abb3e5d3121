// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What a plan says before its hops.
struct Header {
    uint8 source;
    uint40 lastBlock;
    uint128 borrowed;
    uint128 minimumProfit;
    uint96 bid;
}

/// @title Packs plans, independently of the contracts that read them
library Plans {
    uint8 internal constant NOBODY = 0;
    uint8 internal constant BALANCER = 1;
    uint8 internal constant AAVE = 2;
    uint8 internal constant POOL = 3;
    uint8 internal constant MORPHO = 4;
    uint8 internal constant LISTED = 5;

    function own() internal view returns (Header memory) {
        return Header(NOBODY, uint40(block.number), 0, 0, 0);
    }

    function loan(uint8 source, uint256 borrowed) internal view returns (Header memory) {
        return Header(source, uint40(block.number), uint128(borrowed), 0, 0);
    }

    function pack(Header memory header, bytes memory hops) internal pure returns (bytes memory) {
        return
            abi.encodePacked(header.source, header.lastBlock, header.borrowed, header.minimumProfit, header.bid, hops);
    }

    function lendingPool(address otherToken, uint24 fee) internal pure returns (bytes memory) {
        return abi.encodePacked(otherToken, fee);
    }

    function uniswapV2(address tokenOut) internal pure returns (bytes memory) {
        return uniswapV2(tokenOut, 0);
    }

    function uniswapV2(address tokenOut, uint256 minimum) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0), tokenOut, rounded(minimum));
    }

    function sushi(address tokenOut) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), tokenOut, rounded(0));
    }

    function uniswapV3(address tokenOut, uint24 fee) internal pure returns (bytes memory) {
        return uniswapV3(tokenOut, fee, 0);
    }

    function uniswapV3(address tokenOut, uint24 fee, uint256 minimum) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(2), tokenOut, fee, rounded(minimum));
    }

    function balancer(address tokenOut, bytes32 poolId) internal pure returns (bytes memory) {
        return balancer(tokenOut, poolId, 0);
    }

    function balancer(address tokenOut, bytes32 poolId, uint256 minimum) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(3), tokenOut, poolId, rounded(minimum));
    }

    function uniswapV4(address tokenOut, uint24 fee, uint24 spacing) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(4), tokenOut, fee, spacing, rounded(0));
    }

    function uniswapV4InEther(address tokenOut, uint24 fee, uint24 spacing) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(5), tokenOut, fee, spacing, rounded(0));
    }

    function curve(address tokenOut, address pool, uint8 coinIn, uint8 coinOut) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(6), tokenOut, pool, (coinIn << 4) | coinOut, rounded(0));
    }

    function curveCrypto(address tokenOut, address pool, uint8 coinIn, uint8 coinOut)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(uint8(7), tokenOut, pool, (coinIn << 4) | coinOut, rounded(0));
    }

    function aaveLiquidation(address collateral, address borrower) internal pure returns (bytes memory) {
        return aaveLiquidation(collateral, borrower, 0);
    }

    function aaveLiquidation(address collateral, address borrower, uint256 minimum)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(uint8(8), collateral, borrower, rounded(minimum));
    }

    function morphoLiquidation(
        address collateral,
        address borrower,
        address oracle,
        address irm,
        uint64 lltv,
        uint128 shares
    ) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(9), collateral, borrower, oracle, irm, lltv, shares, rounded(0));
    }

    /// The amount rounded down to 24 significant bits: 8 bits exponent, 24 bits mantissa.
    function rounded(uint256 amount) internal pure returns (uint32) {
        uint32 exponent = 0;
        while (amount >= 1 << 24) {
            amount >>= 1;
            ++exponent;
        }
        return (exponent << 24) | uint32(amount);
    }
}
