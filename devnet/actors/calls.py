"""Call data of the contracts that the actors use, and the gas limits they set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.ethereum.abi import encode_call

V2_EXACT_IN: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
V2_EXACT_OUT: Final = "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)"
V2_EXACT_ETHER_IN: Final = "swapExactETHForTokens(uint256,address[],address,uint256)"
V2_WITH_TRANSFER_FEE: Final = (
    "swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)"
)
V3_EXACT_IN_SINGLE: Final = (
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"  # SwapRouter of v3-periphery
)
V3_EXACT_OUT_SINGLE: Final = "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
V3_EXACT_IN: Final = "exactInput((bytes,address,uint256,uint256,uint256))"
V3_EXACT_OUT: Final = "exactOutput((bytes,address,uint256,uint256,uint256))"
VAULT_SWAP: Final = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
VARIABLE_RATE: Final = 2
"""Aave's interest rate mode."""

GAS_V2_HOP: Final = 110_000
GAS_V2_BASE: Final = 70_000
GAS_V3_HOP: Final = 160_000
GAS_V3_BASE: Final = 110_000
GAS_ODD_TOKEN: Final = 150_000
GAS_VAULT: Final = 260_000
GAS_ADD_V2: Final = 300_000
GAS_REMOVE_V2: Final = 300_000
GAS_MINT_V3: Final = 650_000
GAS_BURN_V3: Final = 450_000
GAS_APPROVE: Final = 80_000
GAS_SUBMIT: Final = 350_000
GAS_AAVE: Final = 600_000


def approve(spender: str, amount: int) -> bytes:
    """ERC-20 `approve`."""
    return encode_call("approve(address,uint256)", spender, amount)


def v2_exact_in(amount: int, minimum: int, path: Sequence[str], to: str, deadline: int, *, odd: bool) -> bytes:
    """Router02: spend exactly `amount`; `odd` for tokens that take a fee on transfer."""
    return encode_call(V2_WITH_TRANSFER_FEE if odd else V2_EXACT_IN, amount, minimum, list(path), to, deadline)


def v2_exact_ether_in(minimum: int, path: Sequence[str], to: str, deadline: int) -> bytes:
    """Router02: spend the ether of the call."""
    return encode_call(V2_EXACT_ETHER_IN, minimum, list(path), to, deadline)


def v2_exact_out(amount: int, maximum: int, path: Sequence[str], to: str, deadline: int) -> bytes:
    """Router02: buy exactly `amount`."""
    return encode_call(V2_EXACT_OUT, amount, maximum, list(path), to, deadline)


def v3_exact_in(amount: int, minimum: int, path: Sequence[str], fees: Sequence[int], to: str, deadline: int) -> bytes:
    """SwapRouter: spend exactly `amount`, through `exactInputSingle` when there is one hop."""
    if len(fees) == 1:
        return encode_call(V3_EXACT_IN_SINGLE, (path[0], path[1], fees[0], to, deadline, amount, minimum, 0))
    return encode_call(V3_EXACT_IN, (packed_path(path, fees), to, deadline, amount, minimum))


def v3_exact_out(amount: int, maximum: int, path: Sequence[str], fees: Sequence[int], to: str, deadline: int) -> bytes:
    """SwapRouter: buy exactly `amount`; the packed path of several hops runs backwards."""
    if len(fees) == 1:
        return encode_call(V3_EXACT_OUT_SINGLE, (path[0], path[1], fees[0], to, deadline, amount, maximum, 0))
    return encode_call(V3_EXACT_OUT, (packed_path(path[::-1], fees[::-1]), to, deadline, amount, maximum))


def packed_path(path: Sequence[str], fees: Sequence[int]) -> bytes:
    """Return token ‖ fee ‖ token …: 20 and 3 bytes each (v3-periphery Path)."""
    packed = bytes.fromhex(path[0][2:])
    for fee, token in zip(fees, path[1:], strict=True):
        packed += fee.to_bytes(3, "big") + bytes.fromhex(token[2:])
    return packed


def vault_swap(
    pool_id: str,
    token_in: str,
    token_out: str,
    amount: int,
    limit: int,
    account: str,
    deadline: int,
    *,
    exact_out: bool,
) -> bytes:
    """Balancer V2 Vault: one swap from and to the account's own tokens."""
    single = (bytes.fromhex(pool_id[2:]), int(exact_out), token_in, token_out, amount, b"")
    return encode_call(VAULT_SWAP, single, (account, False, account, False), limit, deadline)


def v2_add(tokens: tuple[str, str], desired: tuple[int, int], least: tuple[int, int], to: str, deadline: int) -> bytes:
    """Router02 `addLiquidity`."""
    signature = "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)"
    return encode_call(signature, *tokens, *desired, *least, to, deadline)


def v2_remove(tokens: tuple[str, str], shares: int, least: tuple[int, int], to: str, deadline: int) -> bytes:
    """Router02 `removeLiquidity`; the router must be allowed to take the shares."""
    signature = "removeLiquidity(address,address,uint256,uint256,uint256,address,uint256)"
    return encode_call(signature, *tokens, shares, *least, to, deadline)


def v3_mint(
    tokens: tuple[str, str], fee: int, ticks: tuple[int, int], desired: tuple[int, int], to: str, deadline: int
) -> bytes:
    """NonfungiblePositionManager `mint`, without a lower limit on the amounts taken."""
    signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
    return encode_call(signature, (*tokens, fee, *ticks, *desired, 0, 0, to, deadline))


def v3_close(token_id: int, liquidity: int, to: str, deadline: int) -> bytes:
    """NonfungiblePositionManager: take all liquidity out, collect it, burn the token; in one `multicall`."""
    everything = 2**128 - 1
    decrease = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
    steps = [encode_call(decrease, (token_id, liquidity, 0, 0, deadline))] if liquidity else []
    steps.append(encode_call("collect((uint256,address,uint128,uint128))", (token_id, to, everything, everything)))
    steps.append(encode_call("burn(uint256)", token_id))
    return encode_call("multicall(bytes[])", steps)


def submit(round_id: int, answer: int) -> bytes:
    """FluxAggregator `submit`."""
    return encode_call("submit(uint256,int256)", round_id, answer)


def aave_borrow(asset: str, amount: int, account: str) -> bytes:
    """Aave V3 `borrow` at the variable rate."""
    return encode_call("borrow(address,uint256,uint256,uint16,address)", asset, amount, VARIABLE_RATE, 0, account)


def aave_repay(asset: str, amount: int, account: str) -> bytes:
    """Aave V3 `repay` of a variable-rate debt."""
    return encode_call("repay(address,uint256,uint256,address)", asset, amount, VARIABLE_RATE, account)
