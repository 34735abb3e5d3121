"""What a factory's log announces: a pool, in the terms of its family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.config import FactoryConfig
from node.engine.pool_topics import (
    PAIR_CREATED,
    POOL_CREATED,
    SLIPSTREAM_CREATED,
    SOLIDLY_CREATED,
    V4_INITIALIZED,
    WORD,
    LogJson,
    ParsedLog,
    address_of,
    expected,
    parsed,
    signed,
)
from node.pipeline.amm.uniswap_v4 import DYNAMIC_FEE, alters_amounts, pool_id
from node.pipeline.pools import PAIRS, PoolFamily, PoolSpec
from protocol.units import Address

FEE_SCALE: Final = 1_000_000


class AltersAmounts(ValueError):
    """A V4 pool whose hook may change what a swap pays: left alone."""


def spec_from_log(factory: FactoryConfig, topic: str, log: LogJson) -> PoolSpec | None:
    """Return the pool that a factory's log announces; None for a log of another kind of factory.

    Raises AltersAmounts; ValueError for a log that is not what its topic promises.
    """
    reader = _READERS.get((topic, factory.family))
    return None if reader is None else reader(factory, parsed(log))


def _pair(factory: FactoryConfig, log: ParsedLog) -> PoolSpec:
    expected(log, topics=3, words=2)
    pair, tokens = _address_in(log.words[0]), _tokens(log)
    return PoolSpec(pair, factory.family, pair, tokens, factory.fee_pips)


def _concentrated(factory: FactoryConfig, log: ParsedLog) -> PoolSpec:
    expected(log, topics=4, words=2)
    pool, fee, spacing = _address_in(log.words[1]), int.from_bytes(log.topics[3], "big"), signed(log.words[0])
    _require(fee < FEE_SCALE and 0 < spacing < 16_384, f"fee {fee} and tick spacing {spacing}")
    return PoolSpec(pool, factory.family, pool, _tokens(log), fee, spacing)


def _slipstream(factory: FactoryConfig, log: ParsedLog) -> PoolSpec:
    expected(log, topics=4, words=1)
    pool, spacing = _address_in(log.words[0]), int.from_bytes(log.topics[3], "big", signed=True)
    _require(0 < spacing < 16_384, f"tick spacing {spacing}")
    return PoolSpec(pool, factory.family, pool, _tokens(log), 0, spacing, has_moving_fee=True)


def _solidly(factory: FactoryConfig, log: ParsedLog) -> PoolSpec:
    expected(log, topics=4, words=2)
    pool, stable = _address_in(log.words[0]), int.from_bytes(log.topics[3], "big")
    _require(stable <= 1, f"a pool that is stable {stable} times")
    return PoolSpec(pool, factory.family, pool, _tokens(log), 0, has_moving_fee=True, is_stable=bool(stable))


def _v4(factory: FactoryConfig, log: ParsedLog) -> PoolSpec:
    expected(log, topics=4, words=5)
    fee, spacing, hooks = log.words[0], signed(log.words[1]), _address_in(log.words[2])
    tokens = (address_of(log.topics[2]), address_of(log.topics[3]))
    _require(0 < spacing < 1 << 15 and fee < 1 << 24, f"fee {fee} and tick spacing {spacing}")
    _require(pool_id(*tokens, fee, spacing, hooks) == log.topics[1], "an id that is not its key's")
    if alters_amounts(hooks):
        raise AltersAmounts(f"its hook 0x{hooks.hex()} may change amounts")
    is_dynamic = fee == DYNAMIC_FEE
    _require(is_dynamic or fee <= FEE_SCALE, f"fee {fee}")
    return PoolSpec(
        log.topics[1],
        factory.family,
        factory.address,
        tokens,
        0 if is_dynamic else fee,
        spacing,
        hooks,
        has_moving_fee=is_dynamic,
    )


def _tokens(log: ParsedLog) -> tuple[Address, Address]:
    tokens = (address_of(log.topics[1]), address_of(log.topics[2]))
    _require(tokens[0] != tokens[1], "a token against itself")
    return tokens


def _address_in(word: int) -> Address:
    return address_of(word.to_bytes(WORD, "big"))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


_READERS: Final[dict[tuple[str, PoolFamily], Callable[[FactoryConfig, ParsedLog], PoolSpec]]] = {
    **{(PAIR_CREATED, family): _pair for family in (*PAIRS, PoolFamily.CAMELOT)},
    (POOL_CREATED, PoolFamily.UNISWAP_V3): _concentrated,
    (POOL_CREATED, PoolFamily.PANCAKE_V3): _concentrated,
    (SLIPSTREAM_CREATED, PoolFamily.SLIPSTREAM): _slipstream,
    (SOLIDLY_CREATED, PoolFamily.AERODROME): _solidly,
    (V4_INITIALIZED, PoolFamily.UNISWAP_V4): _v4,
}
