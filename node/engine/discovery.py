"""From factories to pools.

- Uniswap V2 and its like: the factory's list of all pairs, read through multicall.
- Uniswap V3: `PoolCreated` logs; where a node keeps none, `getPool` for the pairs of tokens that are known.
- Uniswap V4, Aerodrome, Slipstream: their logs alone. Curve, vaults and wrappers: the configuration's list.
- Balancer V2: `PoolRegistered` logs of the vault; what a pool is, its contract says, and whose it is, the configured
  pool factories, if any: the vault registers whatever calls it. Where a node keeps no logs, a pool is found when it is
  used: `PoolLogs` reports ids that are not known.

Logs are read in ranges (`log_ranges`), from where the catalogue of an earlier run ends, and lists in parts; the
catalogue is written after each factory, and in it every few requests. Of more pools than are followed, the configured
ones come first, and each factory has its share: anybody can have a factory make pools.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import combinations, islice
from typing import Final

from node.clock import SystemClock
from node.config import FactoryConfig, ProtocolsConfig
from node.engine.endpoints import Endpoints
from node.engine.executor_pools import ExecutorPools
from node.engine.first_load import FINDING, FirstLoad
from node.engine.headers import Header
from node.engine.listed_pools import ListedPools
from node.engine.log_ranges import logs_by_range
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_announcements import AltersAmounts, spec_from_log
from node.engine.pool_catalogue import FactoryRecord, PoolCatalogue
from node.engine.pool_topics import POOL_REGISTERED, LogJson, factory_topics
from node.engine.rpc import RpcRefused
from node.pipeline.amm.weighted import MAX_SWAP_FEE
from node.pipeline.pools import AT_BALANCER_V2, PAIRS, PoolFamily, PoolId, PoolSpec
from protocol.errors import MalformedMessage
from protocol.ethereum.abi import decode, encode, selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Hash32

_log = logging.getLogger(__name__)

MAX_TOKENS_PAIRED: Final = 64
"""Of so many known tokens at most all pairs are asked for, of more only those with a profit token."""
PAIRS_READ_AGAIN: Final = 64
"""Of a catalogue's pairs the last so many are listed again: a reorg may have changed their order."""
PAIRS_AT_ONCE: Final = 2_000
REQUESTS_PER_SAVE: Final = 16
"""Ranges of logs or parts of a list after which what was found is written down."""
MOST_OF_A_FACTORY: Final = 1 << 17
"""Announced pools of one factory that are kept, the oldest, and ids passed over at a vault, the latest."""
MOST_VAULT_TOKENS: Final = 20
"""Of a weighted pool (WeightedPool.sol, _MAX_TOKENS: in some releases 20, in others eight; a stable one has five and
its own). The vault lets anybody's contract register as many as it likes, and each is an edge to all others.
"""
_V3_FEES: Final = (100, 500, 2500, 3000, 10_000)
_ALL_PAIRS_LENGTH: Final = selector("allPairsLength()")
_ALL_PAIRS: Final = selector("allPairs(uint256)")
_TOKEN0: Final = selector("token0()")
_TOKEN1: Final = selector("token1()")
_GET_POOL: Final = selector("getPool(address,address,uint24)")
_SPACING: Final = selector("feeAmountTickSpacing(uint24)")
_POOL_TOKENS: Final = selector("getPoolTokens(bytes32)")
_WEIGHTS: Final = selector("getNormalizedWeights()")
_GRADUAL: Final = selector("getGradualWeightUpdateParams()")
_AMPLIFICATION: Final = selector("getAmplificationParameter()")
_SWAP_FEE: Final = selector("getSwapFeePercentage()")
_IS_POOL: Final = selector("isPoolFromFactory(address)")
_WORD: Final = 32
_BEYOND: Final = "more than are followed"
"""Why a pool beyond `max_pools` is passed over."""
_ENUMERATED: Final = PAIRS | {PoolFamily.CAMELOT}
"""Families whose factories list all pairs."""
_ASKED: Final = (PoolFamily.UNISWAP_V3, PoolFamily.PANCAKE_V3)
"""Families whose factories can be asked for the pools of two tokens."""
_PIP: Final = 10**12
"""A millionth in Balancer's 18-decimal fee."""


class Discovery:
    """Finds pools. `passed_over`: what was found at the vault and is not followed, by why, counted; their ids are told
    to `pass_over`, so that nobody asks again."""

    def __init__(
        self,
        endpoints: Endpoints,
        multicall: Multicall,
        protocols: ProtocolsConfig,
        profit_tokens: Sequence[Address],
        max_pools: int,
        pass_over: Callable[[PoolId], None],
        catalogue: PoolCatalogue,
        executors: ExecutorPools | None = None,
        load: FirstLoad | None = None,
    ) -> None:
        self._listed = ListedPools(multicall, protocols.pools)
        self.passed_over: Counter[str] = Counter()
        self._endpoints, self._multicall, self._protocols = endpoints, multicall, protocols
        self._profit_tokens, self._max_pools, self._pass_over = tuple(profit_tokens), max_pools, pass_over
        self._catalogue, self._executors = catalogue, executors
        self._load = load or FirstLoad(SystemClock())
        self._requests = 0
        self._makers = {one.address: one.pool_factories for one in protocols.factories if one.family in AT_BALANCER_V2}

    async def pools(self, head: Header) -> list[PoolSpec]:
        """Return every pool of the configured factories at a head, at most `max_pools`. Raises RpcError."""
        factories = self._protocols.factories
        await self._catalogue.open(factories)
        beyond_before = self.passed_over[_BEYOND]
        found: list[PoolSpec] = []
        of_factories: list[list[PoolSpec]] = []
        blocks = {
            factory.address: max(0, head.number + 1 - self._catalogue.next_block(factory)) for factory in factories
        }
        self._load.begin(FINDING, sum(blocks.values()))
        looked_through = 0
        for factory in factories:
            known = self._catalogue.record(factory)
            self._load.pools = len(found) + len(known.pools)
            reached = head.number
            if factory.family in AT_BALANCER_V2:
                record, reached = await self._registered(factory, head, known, looked_through)
            elif factory.family not in _ENUMERATED:
                record, reached = await self._announced(factory, head, known, found, looked_through)
            else:
                record = await self._pairs(factory, head, known, self._max_pools)
            await self._catalogue.save(factory, record, reached, head)
            found += record.pools
            of_factories.append(record.pools)
            looked_through += blocks[factory.address]
            self._load.pools = len(found)
            self._load.reached(looked_through)
        listed = await self._listed.pools(head.hash)
        named = listed if self._executors is None else await self._executors.marked(listed, head.hash)
        shares = fair_shares([len(pools) for pools in of_factories], self._max_pools - len(named))
        chosen = [spec for pools, share in zip(of_factories, shares, strict=True) for spec in pools[:share]]
        if len(found) > len(chosen):
            self.passed_over[_BEYOND] += len(found) - len(chosen)
        beyond = self.passed_over[_BEYOND] - beyond_before  # those of a list that were not even read as well
        if beyond:
            _log.warning("%d pools found, %d followed: raise bounds.max_pools", len(chosen) + beyond, len(chosen))
        self._load.pools = len(chosen) + len(named)
        return [*chosen, *named][: self._max_pools]

    async def vault_pools(self, vault: Address, ids: Sequence[PoolId], at: Hash32) -> list[PoolSpec]:
        """Return those of a vault's pools that are weighted or stable, and of a configured pool factory where there are
        any; others are counted in `passed_over`."""
        functions = (_WEIGHTS, _GRADUAL, _AMPLIFICATION, _SWAP_FEE)
        makers = self._makers.get(vault, ())
        views = [
            view
            for pool_id in ids
            for view in (
                View(vault, _POOL_TOKENS + pool_id),
                *(View(Address(pool_id[:20]), function) for function in functions),
                *(View(maker, _IS_POOL + bytes(12) + pool_id[:20]) for maker in makers),
            )
        ]
        answers = await self._multicall.read(views, at)
        specs: list[PoolSpec] = []
        width = 1 + len(functions) + len(makers)
        for index, pool_id in enumerate(ids):
            told = answers[width * index : width * (index + 1)]
            kind = _vault_pool(pool_id, told[:5])
            if makers and not any(answer and number_at(answer, 0) == 1 for answer in told[5:]):
                kind = "a pool of no factory that is followed"
            if isinstance(kind, str):
                self.passed_over[kind] += 1
                self._pass_over(pool_id)
            else:
                specs.append(kind)
        return specs

    async def _pairs(self, factory: FactoryConfig, head: Header, known: FactoryRecord, most: int) -> FactoryRecord:
        """The list of a factory from where the known part of it ends, up to `most` pairs, the others counted."""
        (answer,) = await self._multicall.read([View(factory.address, _ALL_PAIRS_LENGTH)], head.hash)
        listed = number_at(answer, 0) if answer else 0
        count, beyond = min(listed, most), listed - max(most, len(known.pools))
        if beyond > 0:
            self.passed_over[_BEYOND] += beyond
        pools = {spec.id: spec for spec in known.pools}
        for start in range(max(0, len(known.pools) - PAIRS_READ_AGAIN), count, PAIRS_AT_ONCE):
            part = await self._pairs_of(factory, head.hash, start, min(count, start + PAIRS_AT_ONCE))
            pools |= {spec.id: spec for spec in part}
            if self._is_save_due():
                await self._catalogue.save(factory, FactoryRecord(list(pools.values())), head.number, head)
        return FactoryRecord(list(pools.values()))

    async def _pairs_of(self, factory: FactoryConfig, at: Hash32, start: int, count: int) -> list[PoolSpec]:
        listed = await self._multicall.read(
            [View(factory.address, _ALL_PAIRS + index.to_bytes(_WORD, "big")) for index in range(start, count)], at
        )
        pairs = [_address(answer) for answer in listed if answer]
        tokens = await self._multicall.read([View(pair, name) for pair in pairs for name in (_TOKEN0, _TOKEN1)], at)
        specs: list[PoolSpec] = []
        for index, pair in enumerate(pairs):
            first, second = tokens[2 * index : 2 * index + 2]
            if first and second:
                both = (_address(first), _address(second))
                specs.append(PoolSpec(pair, factory.family, pair, both, factory.fee_pips))
        return specs

    async def _announced(
        self, factory: FactoryConfig, head: Header, known: FactoryRecord, others: Sequence[PoolSpec], before: int
    ) -> tuple[FactoryRecord, BlockNumber]:
        """What was announced, and up to which block the node told it. `others`: pools of other factories, whose tokens
        are known; `before`: blocks looked through for them.
        """
        (topic,) = factory_topics((factory.family,))
        reached = BlockNumber(self._catalogue.next_block(factory) - 1)
        pools = {spec.id: spec for spec in known.pools}
        try:
            async for end, logs in self._ranges(factory, topic, head, before):
                pools |= {spec.id: spec for spec in self._specs(factory, topic, logs)}
                pools = self._bounded(pools)
                reached = end
                if self._is_save_due():
                    await self._catalogue.save(factory, FactoryRecord(list(pools.values())), end, head)
        except RpcRefused as refused:
            if factory.family not in _ASKED:
                _log.warning("%s: pools of %s are found as they are announced", refused, factory.family)
            else:
                _log.info("%s: asking the factory for the pools of the tokens that are known", refused)
                asked = await self._v3_enumerated(factory, head.hash, others)
                pools |= {spec.id: spec for spec in asked}
        return FactoryRecord(list(pools.values())), reached

    def _bounded(self, pools: dict[PoolId, PoolSpec]) -> dict[PoolId, PoolSpec]:
        """The oldest of a factory's, the others counted."""
        beyond = len(pools) - MOST_OF_A_FACTORY
        if beyond <= 0:
            return pools
        self.passed_over["more of a factory than are kept"] += beyond
        return dict(islice(pools.items(), MOST_OF_A_FACTORY))

    def _specs(self, factory: FactoryConfig, topic: str, logs: Sequence[LogJson]) -> list[PoolSpec]:
        """The pools of announcements; those that are not followed are counted."""
        specs: list[PoolSpec] = []
        for log in logs:
            try:
                spec = spec_from_log(factory, topic, log)
            except AltersAmounts:
                self.passed_over["a pool whose hook may change amounts"] += 1
                continue
            except ValueError:
                self.passed_over["a malformed announcement"] += 1
                continue
            if spec is not None:
                specs.append(spec)
        return specs

    async def _v3_enumerated(self, factory: FactoryConfig, at: Hash32, known: Sequence[PoolSpec]) -> list[PoolSpec]:
        tokens = sorted({*self._profit_tokens, *(token for spec in known for token in spec.tokens)})
        pairs = list(combinations(tokens, 2))
        if len(tokens) > MAX_TOKENS_PAIRED:
            pairs = [pair for pair in pairs if set(pair) & set(self._profit_tokens)]
        asked = [View(factory.address, _SPACING + fee.to_bytes(_WORD, "big")) for fee in _V3_FEES]
        answers = await self._multicall.read(asked, at)
        spacings = {fee: number_at(answer, 0) for fee, answer in zip(_V3_FEES, answers, strict=True) if answer}
        candidates = [(pair, fee) for pair in pairs for fee, spacing in spacings.items() if spacing]
        views = [
            View(factory.address, _GET_POOL + encode(["address", "address", "uint24"], [*map(_hex, pair), fee]))
            for pair, fee in candidates
        ]
        specs: list[PoolSpec] = []
        for (pair, fee), answer in zip(candidates, await self._multicall.read(views, at), strict=True):
            pool = _address(answer) if answer else ZERO_ADDRESS
            if pool != ZERO_ADDRESS:
                specs.append(PoolSpec(pool, factory.family, pool, pair, fee, spacings[fee]))
        return specs

    async def _registered(
        self, factory: FactoryConfig, head: Header, known: FactoryRecord, before: int
    ) -> tuple[FactoryRecord, BlockNumber]:
        for pool_id in known.passed_over:
            self._pass_over(pool_id)
        record, reached = known, BlockNumber(self._catalogue.next_block(factory) - 1)
        try:
            async for end, logs in self._ranges(factory, POOL_REGISTERED, head, before):
                ids = [bytes.fromhex(log.topics[1][2:]) for log in logs if len(log.topics) > 1]
                seen = {*record.passed_over, *(spec.id for spec in record.pools)}
                fresh = [pool_id for pool_id in dict.fromkeys(ids) if len(pool_id) == _WORD and pool_id not in seen]
                specs = await self.vault_pools(factory.address, fresh, head.hash)
                followed = {spec.id for spec in specs}
                left = [pool_id for pool_id in fresh if pool_id not in followed]
                kept = self._bounded({spec.id: spec for spec in record.pools + specs})
                ids_left = (record.passed_over + left)[-MOST_OF_A_FACTORY:]
                record = FactoryRecord(list(kept.values()), ids_left)
                reached = end
                if self._is_save_due():
                    await self._catalogue.save(factory, record, end, head)
        except RpcRefused as refused:
            _log.warning("%s: Balancer's pools are found as they are used", refused)
        return record, reached

    async def _ranges(
        self, factory: FactoryConfig, topic: str, head: Header, before: int
    ) -> AsyncIterator[tuple[BlockNumber, list[LogJson]]]:
        """A factory's announcements up to a head. Raises RpcRefused where not even one block is given."""
        wanted = {"address": _hex(factory.address), "topics": [topic]}
        first, pools = self._catalogue.next_block(factory), self._load.pools
        async for end, logs in logs_by_range(self._endpoints, wanted, first, head.number, list[LogJson]):
            yield end, logs
            pools += len(logs)
            self._load.pools = pools
            self._load.reached(before + end + 1 - first)

    def _is_save_due(self) -> bool:
        self._requests += 1
        return self._requests % REQUESTS_PER_SAVE == 0


def fair_shares(counts: Sequence[int], places: int) -> list[int]:
    """How many of the places each gets: as many as every other, and those that one does not need go to the others."""
    shares, left = [0] * len(counts), max(0, places)
    by_need = sorted(range(len(counts)), key=lambda index: counts[index])
    for behind, index in enumerate(by_need):
        shares[index] = min(counts[index], left // (len(by_need) - behind))
        left -= shares[index]
    return shares


def _vault_pool(pool_id: PoolId, answers: Sequence[bytes | None]) -> PoolSpec | str:
    """Return the weighted or stable pool, or why it is none that we follow."""
    held, weights, gradual, amplification, fee = answers
    if gradual:
        return "a pool whose weights move"
    if not (held and (weights or amplification) and fee):
        return "a pool of another kind"
    try:
        tokens, _, _ = decode(["address[]", "uint256[]", "uint256"], held)
        shares = decode(["uint256[]"], weights)[0] if weights else None
        swap_fee = number_at(fee, 0)
    except (MalformedMessage, ValueError):
        return "a pool of another kind"
    if len(tokens) > MOST_VAULT_TOKENS or swap_fee > MAX_SWAP_FEE:
        return "a pool of another kind"
    if shares is not None and len(shares) != len(tokens):
        return "a pool of another kind"
    family = PoolFamily.BALANCER_V2_STABLE if amplification else PoolFamily.BALANCER_V2_WEIGHTED
    addresses = tuple(Address(bytes.fromhex(token[2:])) for token in tokens)
    return PoolSpec(pool_id, family, Address(pool_id[:20]), addresses, swap_fee // _PIP)


def _address(word: bytes) -> Address:
    return Address(word[12:_WORD])


def _hex(address: Address) -> str:
    return "0x" + address.hex()
