"""What each log of a pool, of Balancer's vault or of Uniswap V4's manager says: a reader a topic and family.

A reader returns the change, or why the pool's state is doubtful; `_Malformed` (a ValueError) where the log's fields are
not those of its topic. Where a log says that something changed but not all of what, the change is `StateOutdated`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from node.pipeline.amm.uniswap_v4 import protocol_fees
from node.pipeline.amm.units import UINT112_MAX, UINT128_MAX, UINT160_MAX, UINT256_MAX
from node.pipeline.events import (
    BalancesChanged,
    CoinsChanged,
    CoinsExchanged,
    LiquidityChanged,
    PoolChange,
    PriceMoved,
    ReservesSet,
    StateOutdated,
)
from node.pipeline.pools import AT_BALANCER_V2, CONCENTRATED, OF_CURVE, PAIRS, PoolFamily, PoolSpec
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

WORD: Final = 32
MOST_COINS: Final = 8
"""Of a Curve pool."""
Family = PoolFamily


class LogJson(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A log as JSON-RPC writes it; its hex is read only where it is of interest."""

    address: str
    topics: list[str]
    data: str
    block_hash: str
    log_index: str


class ParsedLog(msgspec.Struct, frozen=True, gc=False):
    """A log of interest. `words` are the data's words."""

    topics: list[bytes]
    data: bytes
    words: list[int]


class _Malformed(ValueError):
    """The log is not what its topic promises."""


Reader = Callable[[PoolSpec, ParsedLog], PoolChange | str]


def topic(signature: str) -> str:
    """A log's first topic, as JSON-RPC writes it."""
    return "0x" + keccak256(signature.encode()).hex()


def parsed(log: LogJson) -> ParsedLog:
    """Read a log's hex. Raises ValueError."""
    topics, data = [bytes.fromhex(one[2:]) for one in log.topics], bytes.fromhex(log.data[2:])
    _require(all(len(one) == WORD for one in topics) and len(data) % WORD == 0)
    return ParsedLog(topics, data, [int.from_bytes(data[i : i + WORD], "big") for i in range(0, len(data), WORD)])


def expected(log: ParsedLog, *, topics: int, words: int | None = None) -> ParsedLog:
    """The log, if it has so many topics and words. Raises ValueError."""
    _require(len(log.topics) == topics and words in (None, len(log.words)))
    return log


def signed(word: int) -> int:
    """A word as int256."""
    return word - (1 << 256) if word >> 255 else word


def address_of(word: bytes) -> Address:
    """The address in a word."""
    return Address(word[12:])


def _require(condition: bool) -> None:
    if not condition:
        raise _Malformed("its fields are not those of its topic")


def _sync(most: int) -> Reader:
    def read(spec: PoolSpec, log: ParsedLog) -> PoolChange:
        reserve0, reserve1 = expected(log, topics=1, words=2).words
        _require(max(reserve0, reserve1) <= most)
        return ReservesSet(spec.id, reserve0, reserve1)

    return read


def _v3_swap(words: int) -> Reader:
    def read(spec: PoolSpec, log: ParsedLog) -> PoolChange:
        return _price_moved(spec, *expected(log, topics=3, words=words).words[2:5])

    return read


def _v4_swap(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    return _price_moved(spec, *expected(log, topics=3, words=6).words[2:5])


def _price_moved(spec: PoolSpec, price: int, liquidity: int, tick: int) -> PoolChange:
    _require(0 < price <= UINT160_MAX and liquidity <= UINT128_MAX)
    return PriceMoved(spec.id, price, liquidity, signed(tick))


def _mint(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    return _liquidity(spec, log, expected(log, topics=4, words=4).words[1])


def _burn(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    return _liquidity(spec, log, -expected(log, topics=4, words=3).words[0])


def _liquidity(spec: PoolSpec, log: ParsedLog, delta: int) -> PoolChange:
    _require(abs(delta) <= UINT128_MAX)
    lower, upper = (int.from_bytes(one, "big", signed=True) for one in log.topics[2:4])
    return LiquidityChanged(spec.id, lower, upper, delta)


def _v4_liquidity(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    lower, upper, delta, _salt = (signed(word) for word in expected(log, topics=3, words=4).words)
    _require(abs(delta) <= UINT128_MAX)
    return LiquidityChanged(spec.id, lower, upper, delta)


def _v4_protocol_fee(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    """Checked, then read: no change of a pool's fees by itself."""
    (packed,) = expected(log, topics=2, words=1).words
    _require(packed < 1 << 24 and max(protocol_fees(packed)) <= 1000)
    return StateOutdated(spec.id)


def _vault_swap(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    amount_in, amount_out = expected(log, topics=4, words=2).words
    deltas = [0] * len(spec.tokens)
    deltas[spec.tokens.index(address_of(log.topics[2]))] += amount_in
    deltas[spec.tokens.index(address_of(log.topics[3]))] -= amount_out
    return BalancesChanged(spec.id, tuple(deltas))


def _vault_balances(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    """A join or an exit: what came in, less the protocol's fees, which leave the pool as well."""
    expected(log, topics=3)
    tokens, deltas, fees = decode(["address[]", "int256[]", "uint256[]"], log.data)
    _require([bytes.fromhex(token[2:]) for token in tokens] == list(spec.tokens))
    _require(len(deltas) == len(fees) == len(tokens))
    return BalancesChanged(spec.id, tuple(delta - fee for delta, fee in zip(deltas, fees, strict=True)))


def _vault_managed(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    """An asset manager moved tokens: the balance is cash and what is managed together."""
    cash, managed = expected(log, topics=4, words=2).words
    deltas = [0] * len(spec.tokens)
    deltas[spec.tokens.index(address_of(log.topics[3]))] = signed(cash) + signed(managed)
    return BalancesChanged(spec.id, tuple(deltas))


def _coins_exchanged(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    index_in, amount_in, index_out, amount_out = expected(log, topics=2, words=4).words
    _require(max(index_in, index_out) < len(spec.tokens) and index_in != index_out)
    return CoinsExchanged(spec.id, index_in, index_out, amount_in, amount_out)


def _coins_changed(sign: int, words_after: int) -> Reader:
    def read(spec: PoolSpec, log: ParsedLog) -> PoolChange:
        count = len(spec.tokens)
        words = expected(log, topics=2, words=2 * count + words_after).words
        return CoinsChanged(spec.id, tuple(sign * amount for amount in words[:count]), tuple(words[count : 2 * count]))

    return read


def _shares_bought(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    assets, shares = expected(log, topics=3, words=2).words
    return BalancesChanged(spec.id, (assets, shares))


def _shares_sold(spec: PoolSpec, log: ParsedLog) -> PoolChange:
    assets, shares = expected(log, topics=4, words=2).words
    return BalancesChanged(spec.id, (-assets, -shares))


def _outdated(spec: PoolSpec, _log: ParsedLog) -> PoolChange:
    return StateOutdated(spec.id)


def _doubt(why: str) -> Reader:
    def read(_spec: PoolSpec, _log: ParsedLog) -> str:
        return why

    return read


def _sized(name: str, counts: int, rest: str) -> list[str]:
    """A Curve log's signatures for each number of coins, of which it holds `counts` arrays."""
    arrays = [",".join([f"uint256[{count}]"] * counts) for count in range(2, MOST_COINS + 1)]
    return [f"{name}(address,{array}{rest})" for array in arrays]


PAIR_CREATED: Final = topic("PairCreated(address,address,address,uint256)")
POOL_CREATED: Final = topic("PoolCreated(address,address,uint24,int24,address)")
SLIPSTREAM_CREATED: Final = topic("PoolCreated(address,address,int24,address)")
SOLIDLY_CREATED: Final = topic("PoolCreated(address,address,bool,address,uint256)")
POOL_REGISTERED: Final = topic("PoolRegistered(bytes32,address,uint8)")
V4_INITIALIZED: Final = topic("Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)")
_SWAPPED_LIKE_V3: Final = (Family.UNISWAP_V3, Family.SLIPSTREAM)
_UNTOLD: Final = OF_CURVE - {Family.CURVE_PLAIN}
"""Curve's pools of which logs do not tell the state."""
_FEE_CHANGED: Final = _doubt("its swap fee was changed")
_POOL_READERS: Final[tuple[tuple[str, Collection[Family], Reader], ...]] = (
    ("Sync(uint112,uint112)", PAIRS | {Family.CAMELOT}, _sync(UINT112_MAX)),
    ("Sync(uint256,uint256)", (Family.AERODROME,), _sync(UINT256_MAX)),
    ("FeePercentUpdated(uint16,uint16)", (Family.CAMELOT,), _FEE_CHANGED),
    ("Swap(address,address,int256,int256,uint160,uint128,int24)", _SWAPPED_LIKE_V3, _v3_swap(5)),
    (
        "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
        (Family.PANCAKE_V3,),
        _v3_swap(7),
    ),
    ("Mint(address,address,int24,int24,uint128,uint256,uint256)", CONCENTRATED, _mint),
    ("Burn(address,int24,int24,uint128,uint256,uint256)", CONCENTRATED, _burn),
    ("Initialize(uint160,int24)", CONCENTRATED, _doubt("it was initialised")),
    ("SetFeeProtocol(uint8,uint8,uint8,uint8)", CONCENTRATED, _doubt("the protocol's fee was changed")),
    ("SetStableSwap(bool,bool)", (Family.CAMELOT,), _doubt("its curve was changed")),
    ("SwapFeePercentageChanged(uint256)", AT_BALANCER_V2, _FEE_CHANGED),
    ("AmpUpdateStarted(uint256,uint256,uint256,uint256)", (Family.BALANCER_V2_STABLE,), _outdated),
    ("AmpUpdateStopped(uint256)", (Family.BALANCER_V2_STABLE,), _outdated),
    ("PausedStateChanged(bool)", AT_BALANCER_V2, _outdated),
    ("TokenRateCacheUpdated(uint256,uint256)", (Family.BALANCER_V2_STABLE,), _outdated),
    ("PriceRateCacheUpdated(address,uint256)", (Family.BALANCER_V2_STABLE,), _outdated),
    ("TokenExchange(address,int128,uint256,int128,uint256)", (Family.CURVE_PLAIN,), _coins_exchanged),
    ("TokenExchange(address,int128,uint256,int128,uint256)", _UNTOLD, _outdated),
    ("TokenExchange(address,uint256,uint256,uint256,uint256)", (Family.CURVE_CRYPTO,), _outdated),
    ("TokenExchangeUnderlying(address,int128,uint256,int128,uint256)", _UNTOLD, _outdated),
    ("RemoveLiquidityOne(address,uint256,uint256)", OF_CURVE, _outdated),
    ("RemoveLiquidityOne(address,uint256,uint256,uint256)", OF_CURVE, _outdated),
    ("RampA(uint256,uint256,uint256,uint256)", OF_CURVE, _outdated),
    ("StopRampA(uint256,uint256)", OF_CURVE, _outdated),
    ("NewFee(uint256,uint256)", OF_CURVE, _outdated),
    *((name, (Family.CURVE_PLAIN,), _coins_changed(1, 2)) for name in _sized("AddLiquidity", 2, ",uint256,uint256")),
    *((name, (Family.CURVE_PLAIN,), _coins_changed(-1, 1)) for name in _sized("RemoveLiquidity", 2, ",uint256")),
    *(
        (name, (Family.CURVE_PLAIN,), _coins_changed(-1, 2))
        for name in _sized("RemoveLiquidityImbalance", 2, ",uint256,uint256")
    ),
    *((name, _UNTOLD, _outdated) for name in _sized("AddLiquidity", 2, ",uint256,uint256")),
    *((name, _UNTOLD, _outdated) for name in _sized("AddLiquidity", 1, ",uint256,uint256")),
    *((name, _UNTOLD, _outdated) for name in _sized("RemoveLiquidity", 2, ",uint256")),
    *((name, _UNTOLD, _outdated) for name in _sized("RemoveLiquidity", 1, ",uint256")),
    ("Deposit(address,address,uint256,uint256)", (Family.ERC4626,), _shares_bought),
    ("Withdraw(address,address,address,uint256,uint256)", (Family.ERC4626,), _shares_sold),
)
_VAULT_READERS: Final[tuple[tuple[str, Family, Reader], ...]] = (
    ("Swap(bytes32,address,address,uint256,uint256)", Family.BALANCER_V2_WEIGHTED, _vault_swap),
    (
        "PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])",
        Family.BALANCER_V2_WEIGHTED,
        _vault_balances,
    ),
    ("PoolBalanceManaged(bytes32,address,address,int256,int256)", Family.BALANCER_V2_WEIGHTED, _vault_managed),
    ("PoolRegistered(bytes32,address,uint8)", Family.BALANCER_V2_WEIGHTED, _doubt("it was registered anew")),
    (
        "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
        Family.UNISWAP_V4,
        _v4_swap,
    ),
    ("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)", Family.UNISWAP_V4, _v4_liquidity),
    ("ProtocolFeeUpdated(bytes32,uint24)", Family.UNISWAP_V4, _v4_protocol_fee),
)
_FACTORY_TOPICS: Final[tuple[tuple[str, Collection[Family]], ...]] = (
    (PAIR_CREATED, PAIRS | {Family.CAMELOT}),
    (POOL_CREATED, (Family.UNISWAP_V3, Family.PANCAKE_V3)),
    (SLIPSTREAM_CREATED, (Family.SLIPSTREAM,)),
    (SOLIDLY_CREATED, (Family.AERODROME,)),
    (V4_INITIALIZED, (Family.UNISWAP_V4,)),
)


def pool_readers() -> dict[str, dict[Family, Reader]]:
    """By topic and family, for logs of the pools' own contracts."""
    readers: dict[str, dict[Family, Reader]] = {}
    for signature, families, reader in _POOL_READERS:
        readers.setdefault(topic(signature), {}).update(dict.fromkeys(families, reader))
    return readers


def holder_readers(families: Iterable[Family]) -> dict[str, Reader]:
    """By topic, for logs of the contracts that hold the pools of these families and name them by an id."""
    chosen = {Family.BALANCER_V2_WEIGHTED if family in AT_BALANCER_V2 else family for family in families}
    return {topic(signature): reader for signature, family, reader in _VAULT_READERS if family in chosen}


def factory_topics(families: Collection[Family]) -> list[str]:
    """Topics by which factories of these families announce pools."""
    return [name for name, of in _FACTORY_TOPICS if set(of) & set(families)]
