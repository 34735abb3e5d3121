"""The routers' functions with the names of their arguments, to tell a person what a transaction asks for.

Signatures as published in the contracts' ABIs: v2-periphery UniswapV2Router02 (Sushi's router is the same),
v3-periphery SwapRouter, swap-router-contracts SwapRouter02, universal-router UniversalRouter, Balancer's V2 Vault, and
Curve's router (curve-router-ng). The swaps themselves are read by `decoders`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import decode_call, selector

# One function a line; an indented line goes on with the one above.
_V2: Final = """
WETH()
addLiquidity(address tokenA, address tokenB, uint256 amountADesired, uint256 amountBDesired, uint256 amountAMin,
  uint256 amountBMin, address to, uint256 deadline)
addLiquidityETH(address token, uint256 amountTokenDesired, uint256 amountTokenMin, uint256 amountETHMin, address to,
  uint256 deadline)
factory()
getAmountIn(uint256 amountOut, uint256 reserveIn, uint256 reserveOut)
getAmountOut(uint256 amountIn, uint256 reserveIn, uint256 reserveOut)
getAmountsIn(uint256 amountOut, address[] path)
getAmountsOut(uint256 amountIn, address[] path)
quote(uint256 amountA, uint256 reserveA, uint256 reserveB)
removeLiquidity(address tokenA, address tokenB, uint256 liquidity, uint256 amountAMin, uint256 amountBMin, address
  to, uint256 deadline)
removeLiquidityETH(address token, uint256 liquidity, uint256 amountTokenMin, uint256 amountETHMin, address to,
  uint256 deadline)
removeLiquidityETHSupportingFeeOnTransferTokens(address token, uint256 liquidity, uint256 amountTokenMin, uint256
  amountETHMin, address to, uint256 deadline)
removeLiquidityETHWithPermit(address token, uint256 liquidity, uint256 amountTokenMin, uint256 amountETHMin, address
  to, uint256 deadline, bool approveMax, uint8 v, bytes32 r, bytes32 s)
removeLiquidityETHWithPermitSupportingFeeOnTransferTokens(address token, uint256 liquidity, uint256 amountTokenMin,
  uint256 amountETHMin, address to, uint256 deadline, bool approveMax, uint8 v, bytes32 r, bytes32 s)
removeLiquidityWithPermit(address tokenA, address tokenB, uint256 liquidity, uint256 amountAMin, uint256 amountBMin,
  address to, uint256 deadline, bool approveMax, uint8 v, bytes32 r, bytes32 s)
swapETHForExactTokens(uint256 amountOut, address[] path, address to, uint256 deadline)
swapExactETHForTokens(uint256 amountOutMin, address[] path, address to, uint256 deadline)
swapExactETHForTokensSupportingFeeOnTransferTokens(uint256 amountOutMin, address[] path, address to, uint256
  deadline)
swapExactTokensForETH(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)
swapExactTokensForETHSupportingFeeOnTransferTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address
  to, uint256 deadline)
swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)
swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256 amountIn, uint256 amountOutMin, address[] path,
  address to, uint256 deadline)
swapTokensForExactETH(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline)
swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline)
"""
# Both routers of V3 have these.
_PERIPHERY: Final = """
WETH9()
factory()
multicall(bytes[] data)
refundETH()
selfPermit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
selfPermitAllowed(address token, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s)
selfPermitAllowedIfNecessary(address token, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s)
selfPermitIfNecessary(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
sweepToken(address token, uint256 amountMinimum, address recipient)
sweepTokenWithFee(address token, uint256 amountMinimum, address recipient, uint256 feeBips, address feeRecipient)
uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes _data)
unwrapWETH9(uint256 amountMinimum, address recipient)
unwrapWETH9WithFee(uint256 amountMinimum, address recipient, uint256 feeBips, address feeRecipient)
"""
_SWAP_ROUTER: Final = """
exactInput((bytes path, address recipient, uint256 deadline, uint256 amountIn, uint256 amountOutMinimum) params)
exactInputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 deadline, uint256
  amountIn, uint256 amountOutMinimum, uint160 sqrtPriceLimitX96) params)
exactOutput((bytes path, address recipient, uint256 deadline, uint256 amountOut, uint256 amountInMaximum) params)
exactOutputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 deadline, uint256
  amountOut, uint256 amountInMaximum, uint160 sqrtPriceLimitX96) params)
"""
_SWAP_ROUTER_02: Final = """
approveMax(address token)
approveMaxMinusOne(address token)
approveZeroThenMax(address token)
approveZeroThenMaxMinusOne(address token)
callPositionManager(bytes data)
checkOracleSlippage(bytes path, uint24 maximumTickDivergence, uint32 secondsAgo)
checkOracleSlippage(bytes[] paths, uint128[] amounts, uint24 maximumTickDivergence, uint32 secondsAgo)
exactInput((bytes path, address recipient, uint256 amountIn, uint256 amountOutMinimum) params)
exactInputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 amountIn, uint256
  amountOutMinimum, uint160 sqrtPriceLimitX96) params)
exactOutput((bytes path, address recipient, uint256 amountOut, uint256 amountInMaximum) params)
exactOutputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 amountOut, uint256
  amountInMaximum, uint160 sqrtPriceLimitX96) params)
factoryV2()
getApprovalType(address token, uint256 amount)
increaseLiquidity((address token0, address token1, uint256 tokenId, uint256 amount0Min, uint256 amount1Min) params)
mint((address token0, address token1, uint24 fee, int24 tickLower, int24 tickUpper, uint256 amount0Min, uint256
  amount1Min, address recipient) params)
multicall(bytes32 previousBlockhash, bytes[] data)
multicall(uint256 deadline, bytes[] data)
positionManager()
pull(address token, uint256 value)
swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to)
swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to)
sweepToken(address token, uint256 amountMinimum)
sweepTokenWithFee(address token, uint256 amountMinimum, uint256 feeBips, address feeRecipient)
unwrapWETH9(uint256 amountMinimum)
unwrapWETH9WithFee(uint256 amountMinimum, uint256 feeBips, address feeRecipient)
wrapETH(uint256 value)
"""

_UNIVERSAL: Final = """
execute(bytes commands, bytes[] inputs)
execute(bytes commands, bytes[] inputs, uint256 deadline)
executeSigned(bytes commands, bytes[] inputs, bytes32 intent, bytes32 data, bool verifySender, bytes32 nonce, bytes
  signature, uint256 deadline)
"""
_VAULT: Final = """
batchSwap(uint8 kind, (bytes32 poolId, uint256 assetInIndex, uint256 assetOutIndex, uint256 amount, bytes userData)[]
  swaps, address[] assets, (address sender, bool fromInternalBalance, address recipient, bool toInternalBalance) funds,
  int256[] limits, uint256 deadline)
flashLoan(address recipient, address[] tokens, uint256[] amounts, bytes userData)
swap((bytes32 poolId, uint8 kind, address assetIn, address assetOut, uint256 amount, bytes userData) singleSwap,
  (address sender, bool fromInternalBalance, address recipient, bool toInternalBalance) funds, uint256 limit, uint256
  deadline)
"""
_CURVE: Final = """
exchange(address[11] _route, uint256[5][5] _swap_params, uint256 _amount, uint256 _min_dy)
exchange(address[11] _route, uint256[5][5] _swap_params, uint256 _amount, uint256 _min_dy, address[5] _pools)
exchange(address[11] _route, uint256[5][5] _swap_params, uint256 _amount, uint256 _min_dy, address[5] _pools, address
  _receiver)
exchange_multiple(address[9] _route, uint256[3][4] _swap_params, uint256 _amount, uint256 _expected)
exchange_multiple(address[9] _route, uint256[3][4] _swap_params, uint256 _amount, uint256 _expected, address[4] _pools)
exchange_multiple(address[9] _route, uint256[3][4] _swap_params, uint256 _amount, uint256 _expected, address[4] _pools,
  address _receiver)
"""

Described: TypeAlias = "int | bool | str | bytes | list[Described] | dict[str, Described]"
"""A decoded argument: a tuple is a dict by its components' names, an array is a list, an address is hex text."""


class _Argument(msgspec.Struct, frozen=True):
    """A named argument; `components` where it is a tuple or an array of tuples."""

    name: str
    type: str
    components: tuple[_Argument, ...] = ()


class _Function(msgspec.Struct, frozen=True):
    signature: str
    arguments: tuple[_Argument, ...]


class RouterCall(msgspec.Struct, frozen=True):
    """One call of a router: the canonical signature, the arguments by name, and the calls inside a multicall."""

    function: str
    arguments: dict[str, Described]
    inner: tuple[RouterCall, ...] = ()


def describe_call(kind: RouterKind, data: bytes) -> RouterCall | None:
    """What a call of a router asks for; None if the router has no such function. Raises InvalidAbi.

    Calls inside a multicall that the router does not have are left out, as it would revert at them.
    """
    function = _FUNCTIONS[kind].get(data[:4])
    if function is None:
        return None
    values = decode_call(function.signature, data)
    arguments = {
        argument.name: _described(argument, value) for argument, value in zip(function.arguments, values, strict=True)
    }
    inner: tuple[RouterCall, ...] = ()
    if function.signature.startswith("multicall("):
        calls = (describe_call(kind, call) for call in values[-1] if not _is_multicall(kind, call))
        inner = tuple(call for call in calls if call is not None)
    return RouterCall(function.signature, arguments, inner)


def published_arguments(kind: RouterKind) -> dict[bytes, tuple[tuple[str, str], ...]]:
    """(name, type) of each argument of a router's functions, by selector."""
    return {
        called: tuple((argument.name, argument.type) for argument in function.arguments)
        for called, function in _FUNCTIONS[kind].items()
    }


def _is_multicall(kind: RouterKind, call: bytes) -> bool:
    function = _FUNCTIONS[kind].get(call[:4])
    return function is not None and function.signature.startswith("multicall(")


def _described(argument: _Argument, value: Any) -> Described:
    if argument.type.endswith("]"):
        element = _Argument("", argument.type.rpartition("[")[0], argument.components)
        return [_described(element, each) for each in value]
    if argument.components:
        return {part.name: _described(part, each) for part, each in zip(argument.components, value, strict=True)}
    described: Described = value
    return described


def _functions(text: str) -> dict[bytes, _Function]:
    functions: dict[bytes, _Function] = {}
    for line in filter(None, text.replace("\n  ", " ").splitlines()):
        name, _, rest = line.partition("(")
        arguments = tuple(_argument(part) for part in _split(rest[:-1]))
        signature = f"{name}({','.join(argument.type for argument in arguments)})"
        functions[selector(signature)] = _Function(signature, arguments)
    return functions


def _split(text: str) -> list[str]:
    """The parts between the outermost commas: what `argument_types` does, but with names and spaces."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def _argument(text: str) -> _Argument:
    kind, _, name = text.rpartition(" ")
    if not kind.startswith("("):
        return _Argument(name, kind)
    inside, _, suffix = kind[1:].rpartition(")")
    components = tuple(_argument(part) for part in _split(inside))
    return _Argument(name, f"({','.join(part.type for part in components)}){suffix}", components)


_FUNCTIONS: Final[dict[RouterKind, dict[bytes, _Function]]] = {
    RouterKind.UNISWAP_V2: _functions(_V2),
    RouterKind.SUSHI_V2: _functions(_V2),
    RouterKind.UNISWAP_V3: _functions(_PERIPHERY + _SWAP_ROUTER),
    RouterKind.SWAP_ROUTER_02: _functions(_PERIPHERY + _SWAP_ROUTER_02),
    RouterKind.BALANCER_V2: _functions(_VAULT),
    RouterKind.UNIVERSAL: _functions(_UNIVERSAL),
    RouterKind.CURVE: _functions(_CURVE),
}
