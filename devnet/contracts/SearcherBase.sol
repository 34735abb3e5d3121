// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

interface IERC20 {
    function balanceOf(address holder) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

interface IConstantProductPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 at);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @notice What the devnet's two searchers share: who may call, and the constant-product formula.
/// @dev Devnet only: its operators' keys are public knowledge.
abstract contract SearcherBase {
    error NotOperator();
    error TransferRefused();

    mapping(address => bool) public isOperator;

    constructor(address[] memory operators) {
        for (uint256 i = 0; i < operators.length; ++i) {
            isOperator[operators[i]] = true;
        }
    }

    modifier onlyOperator() {
        if (!isOperator[msg.sender]) revert NotOperator();
        _;
    }

    /// @dev UniswapV2Library.getAmountOut, with the fee in hundredths of a basis point.
    function _constantProductOut(IConstantProductPair pair, bool zeroForOne, uint256 amountIn, uint256 feePips)
        internal
        view
        returns (uint256)
    {
        (uint112 reserve0, uint112 reserve1,) = pair.getReserves();
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 net = amountIn * (1e6 - feePips);
        return (net * reserveOut) / (reserveIn * 1e6 + net);
    }

    /// @dev Tokens without a return value pass too.
    function _send(address token, address to, uint256 amount) internal {
        (bool done, bytes memory answer) = token.call(abi.encodeCall(IERC20.transfer, (to, amount)));
        if (!done || (answer.length != 0 && !abi.decode(answer, (bool)))) revert TransferRefused();
    }
}
