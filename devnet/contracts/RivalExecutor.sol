// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IConstantProductPair, IERC20, SearcherBase} from "./SearcherBase.sol";

interface IConcentratedPool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(address to, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data)
        external
        returns (int256 amount0, int256 amount1);
}

interface IWrappedEther {
    function withdraw(uint256 amount) external;
}

/// @notice Runs a cycle of swaps that begins and ends in WETH, and pays part of the profit to the builder.
contract RivalExecutor is SearcherBase {
    error TooLittleProfit(uint256 before, uint256 afterwards);
    error UnexpectedCallback();
    error BuilderRefused();

    struct Hop {
        address pool;
        bool concentrated;
        bool zeroForOne;
        uint24 feePips;
    }

    uint160 private constant LOWEST_LIMIT = 4295128740;
    uint160 private constant HIGHEST_LIMIT = 1461446703485210103287273052203988822378723970341;

    address public immutable weth;
    address private expectedPool;

    constructor(address weth_, address[] memory operators) SearcherBase(operators) {
        weth = weth_;
    }

    receive() external payable {}

    /// @notice Spend `amountIn` WETH of this contract along `hops`; revert below `minimumProfit` wei.
    /// @param bidBasisPoints Share of the profit that goes to `block.coinbase`.
    function run(uint256 amountIn, uint256 minimumProfit, uint256 bidBasisPoints, Hop[] calldata hops)
        external
        onlyOperator
    {
        uint256 before = IERC20(weth).balanceOf(address(this));
        uint256 amount = amountIn;
        for (uint256 i = 0; i < hops.length; ++i) {
            amount = hops[i].concentrated ? _concentrated(hops[i], amount) : _constantProduct(hops[i], amount);
        }
        uint256 afterwards = IERC20(weth).balanceOf(address(this));
        if (afterwards < before + minimumProfit) revert TooLittleProfit(before, afterwards);
        uint256 bid = ((afterwards - before) * bidBasisPoints) / 10_000;
        if (bid != 0) {
            IWrappedEther(weth).withdraw(bid);
            (bool paid,) = block.coinbase.call{value: bid}("");
            if (!paid) revert BuilderRefused();
        }
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        if (msg.sender != expectedPool) revert UnexpectedCallback();
        if (amount0 > 0) _send(IConcentratedPool(msg.sender).token0(), msg.sender, uint256(amount0));
        if (amount1 > 0) _send(IConcentratedPool(msg.sender).token1(), msg.sender, uint256(amount1));
    }

    function _constantProduct(Hop calldata hop, uint256 amountIn) private returns (uint256 amountOut) {
        IConstantProductPair pair = IConstantProductPair(hop.pool);
        amountOut = _constantProductOut(pair, hop.zeroForOne, amountIn, hop.feePips);
        _send(hop.zeroForOne ? pair.token0() : pair.token1(), hop.pool, amountIn);
        (uint256 out0, uint256 out1) = hop.zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        pair.swap(out0, out1, address(this), "");
    }

    function _concentrated(Hop calldata hop, uint256 amountIn) private returns (uint256) {
        expectedPool = hop.pool;
        uint160 limit = hop.zeroForOne ? LOWEST_LIMIT : HIGHEST_LIMIT;
        (int256 amount0, int256 amount1) =
            IConcentratedPool(hop.pool).swap(address(this), hop.zeroForOne, int256(amountIn), limit, "");
        expectedPool = address(0);
        return uint256(-(hop.zeroForOne ? amount1 : amount0));
    }
}
