"""A block's logs into what they change in followed pools, and which pools they announce.

Most logs are of no interest: they cost one look at the topic and one at the address. A log that a followed pool's
contract cannot have written, or one that changes what is not tracked by events (a fee), makes the pool's state
doubtful: it is counted and the pool has to be read anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from node.config import FactoryConfig
from node.pipeline.amm.units import UINT112_MAX, UINT128_MAX, UINT160_MAX
from node.pipeline.events import BalancesChanged, LiquidityChanged, PoolChange, PriceMoved, ReservesSet
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec
from protocol.errors import MalformedMessage
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

_WORD: Final = 32
_V2: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)
_MAX_PASSED_OVER: Final = 65_536


class LogJson(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A log as JSON-RPC writes it; its hex is read only where it is of interest."""

    address: str
    topics: list[str]
    data: str
    block_hash: str
    log_index: str


class BlockLogs(msgspec.Struct):
    """What the logs of one block say. `announced`: new pools. `registered`: ids of pools at Balancer's vault that are
    not known yet: what they are has to be asked. `doubtful`: pools to be read anew, and why."""

    changes: list[PoolChange] = []
    announced: list[PoolSpec] = []
    registered: list[PoolId] = []
    doubtful: dict[PoolId, str] = {}


class _Log(msgspec.Struct, frozen=True, gc=False):
    """A log of interest. `words` are the data's words."""

    topics: list[bytes]
    data: bytes
    words: list[int]


class _Malformed(ValueError):
    """The log is not what its topic promises."""


def _topic(signature: str) -> str:
    return "0x" + keccak256(signature.encode()).hex()


class PoolLogs:
    """Reads logs. `counts`: `logs`, `changes`, `malformed`."""

    def __init__(self, factories: Sequence[FactoryConfig]) -> None:
        self.counts: Counter[str] = Counter()
        self._factories = {_hex(factory.address): factory for factory in factories}
        self._by_address: dict[str, PoolSpec] = {}
        self._by_id: dict[PoolId, PoolSpec] = {}
        self._passed_over: dict[PoolId, None] = {}
        self._vaults = {name for name, one in self._factories.items() if one.family is PoolFamily.BALANCER_V2_WEIGHTED}

    @property
    def topics(self) -> list[str]:
        """The topics of interest, for the filter of `eth_getLogs`."""
        return [*_OF_POOL, *_OF_VAULT, *_OF_FACTORY]

    def follow(self, spec: PoolSpec) -> None:
        """Read the logs of a pool from now on."""
        self._by_address[_hex(spec.address)] = spec
        self._by_id[spec.id] = spec

    def pass_over(self, pool_id: PoolId) -> None:
        """Do not ask again what a pool at the vault is; at the bound the oldest may be asked for once more."""
        self._passed_over[pool_id] = None
        if len(self._passed_over) > _MAX_PASSED_OVER:
            del self._passed_over[next(iter(self._passed_over))]

    def spec_of(self, pool_id: PoolId) -> PoolSpec | None:
        """The followed pool of that id."""
        return self._by_id.get(pool_id)

    @property
    def followed(self) -> list[PoolSpec]:
        """All followed pools, in the order in which they were found."""
        return list(self._by_id.values())

    def read(self, logs: Sequence[LogJson]) -> BlockLogs:
        """Read the logs of one block, in their order."""
        said = BlockLogs()
        for log in logs:
            self.counts["logs"] += 1
            topic = log.topics[0].lower() if log.topics else ""
            address = log.address.lower()
            if topic in _OF_POOL:
                spec = self._by_address.get(address)
                if spec is not None and spec.family in _FAMILIES[topic]:
                    self._read_pool(spec, _OF_POOL[topic], log, said)
            elif topic in _OF_VAULT and address in self._vaults:
                self._read_vault(_OF_VAULT[topic], log, said)
            elif topic in _OF_FACTORY and address in self._factories:
                self._read_factory(self._factories[address], topic, log, said)
        self.counts["changes"] += len(said.changes)
        return said

    def _read_pool(self, spec: PoolSpec, reader: _Reader, log: LogJson, said: BlockLogs) -> None:
        try:
            change = reader(spec, _parsed(log))
        except (MalformedMessage, ValueError) as error:
            self.counts["malformed"] += 1
            change = f"a malformed log: {str(error)[:100]}"
        if isinstance(change, str):
            said.doubtful[spec.id] = change
        else:
            said.changes.append(change)

    def _read_vault(self, reader: _Reader, log: LogJson, said: BlockLogs) -> None:
        try:
            pool_id = bytes.fromhex(log.topics[1][2:])
        except (IndexError, ValueError):
            self.counts["malformed"] += 1
            return
        spec = self._by_id.get(pool_id)
        if spec is not None:
            self._read_pool(spec, reader, log, said)
        elif len(pool_id) == _WORD and pool_id not in self._passed_over and pool_id not in said.registered:
            said.registered.append(pool_id)

    def _read_factory(self, factory: FactoryConfig, topic: str, log: LogJson, said: BlockLogs) -> None:
        try:
            spec = spec_from_log(factory, topic, log)
        except ValueError:
            self.counts["malformed"] += 1
            return
        if spec is not None and spec.id not in self._by_id:
            said.announced.append(spec)


def spec_from_log(factory: FactoryConfig, topic: str, log: LogJson) -> PoolSpec | None:
    """Return the pool that a factory's log announces; None for a log of another kind of factory. Raises ValueError."""
    if topic == PAIR_CREATED and factory.family in _V2:
        parsed = _expected(_parsed(log), topics=3, words=2)
        pair = _address(parsed.words[0].to_bytes(_WORD, "big"))
        tokens = (_address(parsed.topics[1]), _address(parsed.topics[2]))
        return PoolSpec(pair, factory.family, pair, tokens, factory.fee_pips)
    if topic == POOL_CREATED and factory.family is PoolFamily.UNISWAP_V3:
        parsed = _expected(_parsed(log), topics=4, words=2)
        pool = _address(parsed.words[1].to_bytes(_WORD, "big"))
        tokens = (_address(parsed.topics[1]), _address(parsed.topics[2]))
        fee, spacing = int.from_bytes(parsed.topics[3], "big"), _signed(parsed.words[0])
        if not (fee < 1_000_000 and 0 < spacing < 16_384):
            raise ValueError(f"fee {fee} and tick spacing {spacing}")
        return PoolSpec(pool, factory.family, pool, tokens, fee, spacing)
    return None


def _sync(spec: PoolSpec, log: _Log) -> PoolChange:
    reserve0, reserve1 = _expected(log, topics=1, words=2).words
    _require(max(reserve0, reserve1) <= UINT112_MAX)
    return ReservesSet(spec.id, reserve0, reserve1)


def _v3_swap(spec: PoolSpec, log: _Log) -> PoolChange:
    _, _, price, liquidity, tick = _expected(log, topics=3, words=5).words
    _require(0 < price <= UINT160_MAX and liquidity <= UINT128_MAX)
    return PriceMoved(spec.id, price, liquidity, _signed(tick))


def _mint(spec: PoolSpec, log: _Log) -> PoolChange:
    return _liquidity(spec, log, _expected(log, topics=4, words=4).words[1])


def _burn(spec: PoolSpec, log: _Log) -> PoolChange:
    return _liquidity(spec, log, -_expected(log, topics=4, words=3).words[0])


def _liquidity(spec: PoolSpec, log: _Log, delta: int) -> PoolChange:
    _require(abs(delta) <= UINT128_MAX)
    lower, upper = (int.from_bytes(topic, "big", signed=True) for topic in log.topics[2:4])
    return LiquidityChanged(spec.id, lower, upper, delta)


def _vault_swap(spec: PoolSpec, log: _Log) -> PoolChange:
    amount_in, amount_out = _expected(log, topics=4, words=2).words
    deltas = [0] * len(spec.tokens)
    deltas[spec.tokens.index(_address(log.topics[2]))] += amount_in
    deltas[spec.tokens.index(_address(log.topics[3]))] -= amount_out
    return BalancesChanged(spec.id, tuple(deltas))


def _vault_balances(spec: PoolSpec, log: _Log) -> PoolChange:
    """A join or an exit: what came in, less the protocol's fees, which leave the pool as well."""
    _expected(log, topics=3)
    tokens, deltas, fees = decode(["address[]", "int256[]", "uint256[]"], log.data)
    _require([bytes.fromhex(token[2:]) for token in tokens] == list(spec.tokens))
    _require(len(deltas) == len(fees) == len(tokens))
    return BalancesChanged(spec.id, tuple(delta - fee for delta, fee in zip(deltas, fees, strict=True)))


def _vault_managed(spec: PoolSpec, log: _Log) -> PoolChange:
    """An asset manager moved tokens: the balance is cash and what is managed together."""
    cash, managed = _expected(log, topics=4, words=2).words
    deltas = [0] * len(spec.tokens)
    deltas[spec.tokens.index(_address(log.topics[3]))] = _signed(cash) + _signed(managed)
    return BalancesChanged(spec.id, tuple(deltas))


def _doubt(why: str) -> _Reader:
    def read(_spec: PoolSpec, _log: _Log) -> str:
        return why

    return read


_Reader = Callable[[PoolSpec, _Log], PoolChange | str]
PAIR_CREATED: Final = _topic("PairCreated(address,address,address,uint256)")
POOL_CREATED: Final = _topic("PoolCreated(address,address,uint24,int24,address)")
POOL_REGISTERED: Final = _topic("PoolRegistered(bytes32,address,uint8)")
_POOL_READERS: Final[tuple[tuple[str, tuple[PoolFamily, ...], _Reader], ...]] = (
    ("Sync(uint112,uint112)", _V2, _sync),
    ("Swap(address,address,int256,int256,uint160,uint128,int24)", (PoolFamily.UNISWAP_V3,), _v3_swap),
    ("Mint(address,address,int24,int24,uint128,uint256,uint256)", (PoolFamily.UNISWAP_V3,), _mint),
    ("Burn(address,int24,int24,uint128,uint256,uint256)", (PoolFamily.UNISWAP_V3,), _burn),
    ("Initialize(uint160,int24)", (PoolFamily.UNISWAP_V3,), _doubt("it was initialised")),
    ("SetFeeProtocol(uint8,uint8,uint8,uint8)", (PoolFamily.UNISWAP_V3,), _doubt("the protocol's fee was changed")),
    (
        "SwapFeePercentageChanged(uint256)",
        (PoolFamily.BALANCER_V2_WEIGHTED,),
        _doubt("its swap fee was changed"),
    ),
)
_OF_POOL: Final = {_topic(signature): reader for signature, _, reader in _POOL_READERS}
_FAMILIES: Final = {_topic(signature): families for signature, families, _ in _POOL_READERS}
_OF_VAULT: Final[dict[str, _Reader]] = {
    _topic("Swap(bytes32,address,address,uint256,uint256)"): _vault_swap,
    _topic("PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])"): _vault_balances,
    _topic("PoolBalanceManaged(bytes32,address,address,int256,int256)"): _vault_managed,
    POOL_REGISTERED: _doubt("it was registered anew"),
}
_OF_FACTORY: Final = (PAIR_CREATED, POOL_CREATED)


def _parsed(log: LogJson) -> _Log:
    topics, data = [bytes.fromhex(topic[2:]) for topic in log.topics], bytes.fromhex(log.data[2:])
    _require(all(len(topic) == _WORD for topic in topics) and len(data) % _WORD == 0)
    return _Log(topics, data, [int.from_bytes(data[i : i + _WORD], "big") for i in range(0, len(data), _WORD)])


def _expected(log: _Log, *, topics: int, words: int | None = None) -> _Log:
    _require(len(log.topics) == topics and words in (None, len(log.words)))
    return log


def _require(condition: bool) -> None:
    if not condition:
        raise _Malformed("its fields are not those of its topic")


def _signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word


def _address(word: bytes) -> Address:
    return Address(word[12:])


def _hex(address: Address) -> str:
    return "0x" + address.hex()
