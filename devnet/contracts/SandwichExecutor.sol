// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IConstantProductPair, SearcherBase} from "./SearcherBase.sol";

/// @notice One leg of the devnet adversary's flash-swap variant: takes the output first and pays in the callback.
/// @dev For tests of detection on a local chain; see devnet/actors/sandwicher.py.
contract SandwichExecutor is SearcherBase {
    error TooLittleOut(uint256 amountOut);
    error UnexpectedCallback();

    address private expectedPair;

    constructor(address[] memory operators) SearcherBase(operators) {}

    /// @notice Swap exactly `amountIn` of this contract's tokens in a V2 pair by flash swap.
    function swap(address pair, bool zeroForOne, uint256 amountIn, uint256 minimumOut, uint256 feePips)
        external
        onlyOperator
    {
        uint256 amountOut = _constantProductOut(IConstantProductPair(pair), zeroForOne, amountIn, feePips);
        if (amountOut < minimumOut) revert TooLittleOut(amountOut);
        (uint256 out0, uint256 out1) = zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IConstantProductPair target = IConstantProductPair(pair);
        address tokenIn = zeroForOne ? target.token0() : target.token1();
        expectedPair = pair;
        target.swap(out0, out1, address(this), abi.encode(tokenIn, amountIn));
        expectedPair = address(0);
    }

    function uniswapV2Call(address sender, uint256, uint256, bytes calldata data) external {
        if (msg.sender != expectedPair || sender != address(this)) revert UnexpectedCallback();
        (address tokenIn, uint256 amountIn) = abi.decode(data, (address, uint256));
        _send(tokenIn, msg.sender, amountIn);
    }
}
