"""Makes the first opportunity as quick as the hundredth: kernels compiled or read from their cache."""

from __future__ import annotations

from typing import Any, Final

from node.pipeline.amm.concentrated import initialized_pool, modify_position
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.events import BlockArrived, PoolDiscovered, PoolSynced, TokenScreened, TokenVerdict, TreasuryRead
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.settings import PipelineSettings, ProfitToken
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, UnixNanoseconds, UnixSeconds, Wei

_ETHER: Final = 10**18
_TOKENS: Final = tuple(Address(bytes([number]) * 20) for number in (1, 2, 3))
_SENDER: Final = Address(b"\x09" * 20)
_ONE_X96: Final = 1 << 96


def warm() -> None:
    """Run the pipeline on a market of three tokens in which there is something to take, until every kernel has run."""
    coin = _TOKENS[0]
    settings = PipelineSettings(
        chain_id=ChainId(1),
        entry_point=_SENDER,
        profit_tokens=(ProfitToken(coin, 10**24, 10**27),),
        lenders=(FlashLender(LenderKind.BALANCER_V2, _SENDER, coin, 0),),
        routers={},
        senders=(_SENDER,),
    )
    state = PipelineState(settings, _no_call_data)
    for token in _TOKENS:
        step(state, TokenScreened(token, TokenVerdict.PLAIN, trusted=True))
    for spec, pool in _pools():
        step(state, PoolDiscovered(spec))
        step(state, PoolSynced(spec.id, pool, BlockNumber(1)))
    step(state, TreasuryRead(_SENDER, Wei(100 * _ETHER), 0))
    for number in (1, 2):
        step(state, _block(number))
    state.search.through(range(len(state.market.edges)))


def _pools() -> list[tuple[PoolSpec, PoolState]]:
    one, two, three = _TOKENS
    deep, _, _ = modify_position(initialized_pool(3000, 60, _ONE_X96), -6000, 6000, 1_000 * _ETHER)
    return [
        _pool(PoolFamily.UNISWAP_V2, one, two, ConstantProductPool(1_000 * _ETHER, 1_100 * _ETHER)),
        _pool(PoolFamily.SUSHI_V2, one, two, ConstantProductPool(1_000 * _ETHER, 1_000 * _ETHER)),
        _pool(PoolFamily.UNISWAP_V3, one, two, deep),
        _pool(PoolFamily.UNISWAP_V2, two, three, ConstantProductPool(1_000 * _ETHER, 1_000 * _ETHER)),
        _pool(PoolFamily.UNISWAP_V2, one, three, ConstantProductPool(1_000 * _ETHER, 900 * _ETHER)),
    ]


def _pool(family: PoolFamily, token0: Address, token1: Address, state: PoolState) -> tuple[PoolSpec, PoolState]:
    address = Address((family.value.encode() + token0 + token1)[-20:-10] + token1[:10])
    spacing = 60 if family is PoolFamily.UNISWAP_V3 else 0
    unique = Address(bytes([list(PoolFamily).index(family)]) + address[1:])
    return PoolSpec(unique, family, unique, (token0, token1), 3000, spacing), state


def _block(number: int) -> BlockArrived:
    return BlockArrived(
        number=BlockNumber(number),
        hash=Hash32(number.to_bytes(32, "big")),
        parent_hash=Hash32((number - 1).to_bytes(32, "big")),
        timestamp=UnixSeconds(number),
        base_fee=Wei(1),
        gas_limit=Gas(30_000_000),
        gas_used=Gas(15_000_000),
        pool_changes=(),
        included=(),
        now=UnixNanoseconds(number * 10**9),
    )


def _no_call_data(**_: Any) -> bytes:
    return b""
