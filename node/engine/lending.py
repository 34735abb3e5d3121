"""The configured flash lenders as the chain has them: their fees, and who holds what they lend. Uniswap V3's pools are
not among them: they are followed anyway, and what they lend follows from their states (`node.pipeline.pool_lenders`).

Sources: Balancer V2 `ProtocolFeesCollector.getFlashLoanFeePercentage` (18 decimals), Aave V3
`Pool.FLASHLOAN_PREMIUM_TOTAL` (basis points) and `getReserveData` (its ninth word is the aToken).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.config import LenderConfig
from node.engine.endpoints import Endpoints
from node.engine.rpc_types import Data
from node.errors import NodeError
from node.pipeline.plans import FlashLender, LenderKind
from protocol.ethereum.abi import encode_call
from protocol.units import ZERO_ADDRESS, Address, address_to_hex

_WORD: Final = 32
_A_TOKEN: Final = 8
_PIPS_PER_BASIS_POINT: Final = 100
_WAD_PER_PIP: Final = 10**12


class LenderUnusable(NodeError):
    """A configured lender does not answer as its kind does; the text names it."""


async def read_lenders(
    endpoints: Endpoints, lenders: Sequence[LenderConfig], tokens: Sequence[Address]
) -> list[tuple[FlashLender, Address]]:
    """Return each lender of each token with the account that holds what it lends. Raises LenderUnusable, RpcError."""
    found: list[tuple[FlashLender, Address]] = []
    for lender in lenders:
        if lender.kind is LenderKind.BALANCER_V2 and lender.address is not None:
            found += await _balancer(endpoints, lender.address, tokens)
        elif lender.kind is LenderKind.AAVE_V3 and lender.address is not None:
            found += await _aave(endpoints, lender.address, tokens)
    return found


def own_vaults(lenders: Sequence[LenderConfig], module: Address, tokens: Sequence[Address]) -> list[FlashLender]:
    """Return our own vaults as a source of each token, if configured; with nothing until `vault_limits` has read."""
    is_used = any(lender.kind is LenderKind.VAULT for lender in lenders)
    return [FlashLender(LenderKind.VAULT, module, token, 0, 0) for token in tokens] if is_used else []


async def _balancer(
    endpoints: Endpoints, vault: Address, tokens: Sequence[Address]
) -> list[tuple[FlashLender, Address]]:
    collector = Address((await _word(endpoints, vault, "getProtocolFeesCollector()"))[-20:])
    fee = int.from_bytes(await _word(endpoints, collector, "getFlashLoanFeePercentage()"), "big")
    pips = -(-fee // _WAD_PER_PIP)
    return [(FlashLender(LenderKind.BALANCER_V2, vault, token, pips), vault) for token in tokens]


async def _aave(endpoints: Endpoints, pool: Address, tokens: Sequence[Address]) -> list[tuple[FlashLender, Address]]:
    premium = int.from_bytes(await _word(endpoints, pool, "FLASHLOAN_PREMIUM_TOTAL()"), "big")
    found: list[tuple[FlashLender, Address]] = []
    for token in tokens:
        reserve = await _read(endpoints, pool, encode_call("getReserveData(address)", address_to_hex(token)))
        if len(reserve) < (_A_TOKEN + 1) * _WORD:
            raise LenderUnusable(f"{address_to_hex(pool)} does not answer getReserveData as Aave V3's pool does")
        holder = Address(reserve[(_A_TOKEN + 1) * _WORD - 20 : (_A_TOKEN + 1) * _WORD])
        if holder != ZERO_ADDRESS:  # else it does not list the token
            pips = premium * _PIPS_PER_BASIS_POINT
            found.append((FlashLender(LenderKind.AAVE_V3, pool, token, pips), holder))
    return found


async def _word(endpoints: Endpoints, to: Address, signature: str) -> bytes:
    answer = await _read(endpoints, to, encode_call(signature))
    if len(answer) != _WORD:
        raise LenderUnusable(f"{address_to_hex(to)} does not answer {signature}: is it the lender that was configured?")
    return answer


async def _read(endpoints: Endpoints, to: Address, data: bytes) -> bytes:
    request = {"to": address_to_hex(to), "data": "0x" + data.hex()}
    answer: bytes = await endpoints.call("eth_call", request, "latest", shape=Data)
    return answer
