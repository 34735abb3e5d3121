"""The fuzz itself: blocks of random steps at the genuine contracts, each step judged by what was logged up to it.

Nothing but the logs moves our state, and they are read by the engine's own reader. After each step the contract's
answers must be those of our state, and where the step's maths are ours, it must have gone as we say. After each block
the pipeline's own ring of blocks must have come to the same states; now and then the chain goes back some blocks, and
so must the ring; and from time to time the whole of every pool is read from the chain and compared.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import orjson

from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.balancer_views import versions_of
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.loan_logs import LoanLogs
from node.engine.loan_reading import LoanReader
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader, Unreadable, read_contracts
from node.engine.pool_views import checks_of
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import AmmError, PoolRevert
from node.pipeline.blocks import Blocks
from node.pipeline.changes import changed
from node.pipeline.events import BlockArrived, LoansRead, PoolChange, PoolSynced, ResyncLoans
from node.pipeline.lending.aave_book import AaveBook, LoanLog
from node.pipeline.lending.errors import LendingError
from node.pipeline.loans import Loans
from node.pipeline.market import Market
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState
from protocol.ethereum.abi import selector
from protocol.units import (
    ZERO_ADDRESS,
    BlockNumber,
    ChainId,
    Gas,
    Hash32,
    UnixNanoseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
)
from tests.engine_scene import engine_config
from tests.market.balancer import BalancerSteps
from tests.market.coins import CoinSteps
from tests.market.concentrated import ConcentratedSteps
from tests.market.constant_product import ConstantProductSteps
from tests.market.ground import Family, Ground, Range
from tests.market.lending import LOANS, LendingSteps
from tests.market.morpho import MORPHO, MorphoBook, MorphoSteps
from tests.market.scene import Head, Log, Scene, Sent, stepped_topic
from tests.market.share_vault import ShareVaultSteps
from tests.market.singleton import SingletonSteps
from tests.market.steps import Outcome, Refused, Step, outcome_of, packed_step

STEPS_PER_BLOCK = 120
_UNDO_BLOCKS = 16
_DEEPEST_REORG = 4
_BLOCKS_BETWEEN_REORGS = 12
_BLOCKS_BETWEEN_AUDITS = 20
_GAS_OF_STEPS = 8_000_000
_LONGEST_PAUSE = 40
_REST_CHANCE = 0.1
_LONGEST_REST = 20 * 24 * 3600
"""Now and then nothing happens for days, so that interest is felt."""
_LENDING_SHARE = 0.1
_MORPHO_SHARE = 0.35
_ANSWER_CHANCE = 0.4
_STEPPED = stepped_topic()
_LENDERS = (LOANS.decode(), MORPHO.decode())


class Differs(AssertionError):
    """Where our side and the chain are not of one mind; the text says at which step, and how to see it again."""


class Report(msgspec.Struct):
    """What a run did. `steps` are judged ones, by family in `by_family`, `families` are those that were there;
    `answers` are contracts' answers compared.
    """

    seed: int
    families: set[str] = msgspec.field(default_factory=set)
    steps: int = 0
    answers: int = 0
    refused: int = 0
    blocks: int = 0
    reorgs: int = 0
    audits: int = 0
    by_family: Counter[str] = msgspec.field(default_factory=Counter)
    done: Counter[str] = msgspec.field(default_factory=Counter)
    """Steps that the contracts did, by what they were."""

    def __str__(self) -> str:
        families = ", ".join(f"{name} {count}" for name, count in sorted(self.by_family.items()))
        return (
            f"seed {self.seed}: {self.steps} steps ({families}), {self.refused} of them refused by both sides; "
            f"{self.answers} answers compared, {self.blocks} blocks, {self.reorgs} reorgs, {self.audits} audits; "
            f"done: {', '.join(f'{name} {count}' for name, count in sorted(self.done.items()))}"
        )


class Fuzz:
    """One run over one scene: of all families, or `only` of some (by name)."""

    def __init__(self, scene: Scene, url: str, seed: int, only: Collection[str] = ()) -> None:
        self.report = Report(seed)
        self._scene, self._random = scene, Random(seed)
        self._ground = Ground.of(scene.world.manifest, scene.hand)
        pairs, concentrated = ConstantProductSteps(self._ground), ConcentratedSteps(self._ground)
        balancer = BalancerSteps(self._ground)
        families: dict[PoolFamily, Family] = {
            PoolFamily.UNISWAP_V2: pairs,
            PoolFamily.SUSHI_V2: pairs,
            PoolFamily.UNISWAP_V3: concentrated,
            PoolFamily.BALANCER_V2_WEIGHTED: balancer,
            PoolFamily.BALANCER_V2_STABLE: balancer,
            PoolFamily.UNISWAP_V4: SingletonSteps(self._ground),
            PoolFamily.CURVE_PLAIN: CoinSteps(self._ground),
            PoolFamily.ERC4626: ShareVaultSteps(self._ground),
        }
        unknown = sorted({*only} - {*map(str, families), *_LENDERS})
        if unknown:
            raise ValueError(f"no family of the fuzz is called {' or '.join(unknown)}")
        self._families = {family: steps for family, steps in families.items() if not only or str(family) in only}
        self._lenders = [lender for lender in _LENDERS if not only or lender in only]
        self._config = engine_config(scene.world.manifest)
        self._endpoints = Endpoints.open([RpcConfig(http=url, websocket=url)], SystemClock())
        self._multicall = Multicall(self._endpoints, self._config.protocols.multicall3)
        protocols = self._config.protocols
        self._reader = PoolReader(self._multicall, read_contracts(protocols))
        self._logs = PoolLogs(protocols.factories, [one.family for one in protocols.pools])
        self._market = Market([token.address for token in self._config.tokens.profit], 1_000, 10_000)
        self._blocks = Blocks(self._market, _UNDO_BLOCKS)
        self._lending, self._loan_logs = LendingSteps(self._ground), LoanLogs()
        pool = self._ground.contract("aave_pool")
        self._loan_reader = LoanReader(self._endpoints, self._multicall, self._config.protocols.multicall3, pool)
        self._loans = Loans(_UNDO_BLOCKS)
        self._book: AaveBook | None = None
        self._morpho = MorphoSteps(self._ground)
        self._morpho_book = MorphoBook({}, {}, {})
        self._rounds: dict[str, int] = {}
        self._states: dict[PoolId, PoolState] = {}
        self._specs: dict[PoolId, PoolSpec] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoints.close()

    async def load(self) -> None:
        """Find all pools and read them once: from here on the logs alone tell."""
        head = await self._header()
        catalogue = PoolCatalogue(None, ChainId(self._scene.world.manifest.chain_id), self._endpoints)
        weth = self._ground.contract("weth")
        protocols = self._config.protocols
        found = Discovery(self._endpoints, self._multicall, protocols, [weth], 1_000, lambda _: None, catalogue)
        specs = [spec for spec in await found.pools(head) if spec.family in self._families]
        states = await self._reader.read(specs, head.hash)
        await self._arrive(await self._scene.head(), [])
        for spec in specs:
            state = states[spec.id]
            if isinstance(state, Unreadable):
                raise Differs(f"{_name(spec)} cannot be read: {state.why}")
            self._states[spec.id], self._specs[spec.id] = state, spec
            self.report.families.add(str(spec.family))
            self._logs.follow(spec)
            self._market.discover(spec)
            self._blocks.sync(PoolSynced(spec.id, state, head.number))

        await self._load_loans()
        self._morpho_book = await self._morpho.load(self._scene.rpc, self._known_book().oracle.prices)
        self.report.families.update(self._lenders)

    async def _header(self) -> Header:
        return header_from_json(orjson.dumps(await self._endpoints.call("eth_getBlockByNumber", "latest", False)))

    async def _load_loans(self) -> None:
        """Read the whole book, and the feeds' rounds."""
        read = await self._loan_reader.read(await self._header())
        self._loan_logs.watch(self._loan_reader.sources)
        await self._take_loans(read)
        for feed in self._known_book().oracle.assets:
            request = {"to": feed, "data": "0x" + selector("latestRound()").hex()}
            self._rounds[feed] = int(await self._scene.rpc.call("eth_call", request, "latest"), 16)

    async def _take_loans(self, read: LoansRead) -> None:
        effects = self._loans.read(read)
        if effects:
            raise self._differs(f"what was read of loans asks for {effects}")
        self._book = self._loans.book

    def _known_book(self) -> AaveBook:
        if self._book is None:
            raise self._differs("the book of loans is not known")
        return self._book

    async def run(self, until: Callable[[Report], bool]) -> Report:
        """Go on until the report is enough. Raises Differs."""
        while not until(self.report):
            if self.report.blocks % _BLOCKS_BETWEEN_REORGS == _BLOCKS_BETWEEN_REORGS - 1:
                await self._reorg()
            await self._block()
            if self.report.blocks % _BLOCKS_BETWEEN_AUDITS == 0:
                await self._audit(whole=False)
        await self._audit(whole=True)
        return self.report

    async def _block(self) -> None:
        pause = self._random.randrange(1, _LONGEST_REST if self._random.random() < _REST_CHANCE else _LONGEST_PAUSE)
        self._lending.at = int((await self._scene.head()).timestamp, 16) + pause
        self._morpho.at = self._lending.at
        packs, answers = self._packs(self._steps()), self._answers()
        head, logs = await self._scene.block([b"".join(map(packed_step, pack)) for pack in packs], pause, answers)
        loan_logs: list[LoanLog] = []
        changes: list[PoolChange] = []
        told: list[Log] = []
        waiting = [iter(pack) for pack in packs]
        for log in logs:
            if log.topics and log.topics[0] == _STEPPED and address_from_hex(log.address) == self._scene.hand:
                step = next(waiting[int(log.transaction_index, 16) - len(answers)])
                outcome = outcome_of(bytes.fromhex(log.data[2:]))
                changes += self._judge(step, told, outcome, loan_logs)
                told = []
            else:
                told.append(log)
        await self._arrive(head, changes, loan_logs)
        self.report.blocks += 1
        for pool_id, state in self._states.items():
            if self._market.state_of(pool_id) != state:
                raise self._differs(
                    f"{self._name(pool_id)}: the ring's state {self._market.state_of(pool_id)}, by step {state}"
                )

    def _steps(self) -> list[Step]:
        known = list(self._specs.values())
        lending_share = (_LENDING_SHARE if known else 1.0) if self._lenders else 0.0
        return [
            self._loan_step() if self._random.random() < lending_share else self._pool_step(self._random.choice(known))
            for _ in range(STEPS_PER_BLOCK)
        ]

    def _pool_step(self, spec: PoolSpec) -> Step:
        return self._families[spec.family].step(self._random, spec, self._states[spec.id])

    def _loan_step(self) -> Step:
        chance = self._random.random()
        lender = self._lenders[chance < _MORPHO_SHARE] if len(self._lenders) > 1 else self._lenders[0]
        if lender == MORPHO.decode():
            return self._morpho.step(self._random, self._morpho_book)
        return self._lending.step(self._random, self._known_book())

    def _answers(self) -> list[Sent]:
        """Now and then another price of a feed, before all steps of the block."""
        if self._random.random() > _ANSWER_CHANCE:
            return []
        feed = self._random.choice(sorted(self._rounds))
        self._rounds[feed] += 1
        return [self._lending.answer(self._random, self._known_book(), self._rounds[feed], feed)]

    def _follow_loans(self, logs: Sequence[Log], at: int) -> tuple[LoanLog, ...]:
        """Move our book by the logs of a step."""
        said = self._loan_logs.read(logs)
        try:
            self._book, _ = self._known_book().after(said, at)
        except LendingError as error:
            raise self._differs(f"{LOANS.decode()}: {said} does not fit the book: {error}") from error
        try:
            self._morpho_book = self._morpho.follow(self._morpho_book, logs, self._book.oracle.prices)
        except LendingError as error:
            raise self._differs(f"{MORPHO.decode()}: {error}; {self._morpho_book}") from error
        return said

    def _packs(self, steps: Sequence[Step]) -> list[list[Step]]:
        """As many transactions as it takes; what is too much for one is left undone by the hand, and not judged."""
        packs: list[list[Step]] = [[]]
        gas = 0
        for step in steps:
            if gas + step.gas > _GAS_OF_STEPS:
                packs.append([])
                gas = 0
            packs[-1].append(step)
            gas += step.gas
        return packs

    def _judge(self, step: Step, logs: Sequence[Log], outcome: Outcome, loan_logs: list[LoanLog]) -> list[PoolChange]:
        """Move our state by the logs of a step, and compare it with what we say and with what the contract says."""
        before = self._state(step.pool)
        loan_logs += self._follow_loans(logs, self._lending.at)
        if step.pool == MORPHO:  # answers come before all steps
            before = replace(before, prices=self._morpho_book.prices)
        said = self._logs.read(logs)
        if said.doubtful:
            raise self._differs(f"{self._told(step)}: {said.doubtful}")
        for change in said.changes:
            try:
                self._states[change.pool_id] = changed(self._states[change.pool_id], change)
            except AmmError as error:
                raise self._differs(f"{self._told(step)}: its log {change} does not fit {before}: {error}") from error
        state = self._state(step.pool)
        self._compare_prediction(step, before, state, outcome)
        for query, (answered, answer) in zip(step.queries, outcome.answers, strict=True):
            given, ours = query.given(answered, answer), query.expected(state)
            if given != ours:
                raise self._differs(
                    f"{self._told(step)}, then {query.words}: the chain says {given}, we {ours}; {state}"
                )
        if outcome.done:
            self.report.done[step.action.split()[0]] += 1
            if step.done is not None:
                step.done()
        self.report.steps += 1
        self.report.answers += len(step.queries)
        self.report.by_family[self._family(step.pool)] += 1
        return said.changes

    def _compare_prediction(self, step: Step, before: Any, after: Any, outcome: Outcome) -> None:
        if step.predict is None:
            return
        try:
            predicted = step.predict(before)
        except PoolRevert as error:
            predicted = Refused(str(error))
        if isinstance(predicted, Refused):
            self.report.refused += 1
        if isinstance(predicted, Refused) == outcome.done:
            chain = "did it" if outcome.done else f"refused ({outcome.why!r})"
            raise self._differs(f"{self._told(step)}: the chain {chain}, we say {predicted}; before {before}")
        if outcome.done and _bare(predicted) != _bare(after):
            raise self._differs(f"{self._told(step)}: we say {predicted}, its logs {after}; before {before}")

    async def _arrive(self, head: Head, changes: Sequence[PoolChange], loan_logs: Sequence[LoanLog] = ()) -> None:
        block = BlockArrived(
            BlockNumber(int(head.number, 16)),
            Hash32(bytes.fromhex(head.hash[2:])),
            Hash32(bytes.fromhex(head.parent_hash[2:])),
            UnixSeconds(int(head.timestamp, 16)),
            Wei(int(head.base_fee_per_gas, 16)),
            Gas(int(head.gas_limit, 16)),
            Gas(int(head.gas_used, 16)),
            tuple(changes),
            (),
            UnixNanoseconds(0),
            tuple(loan_logs),
        )
        effects = self._blocks.arrive(block)
        if effects:
            raise self._differs(f"the block asks for {effects}")
        effects = self._loans.arrive(block)
        if self._loans.book != self._book:
            raise self._differs(f"{LOANS.decode()}: the ring's book {self._loans.book}, by step {self._book}")
        for effect in effects:
            if not isinstance(effect, ResyncLoans) or not effect.users:
                raise self._differs(f"{LOANS.decode()}: the block asks for {effect}")
            await self._take_loans(await self._loan_reader.read_positions(effect.users, await self._header()))

    async def _reorg(self) -> None:
        """Go some blocks on and back again: the ring must undo exactly what came."""
        before, held, book, rounds = dict(self._states), dict(self._ground.held), self._book, dict(self._rounds)
        morpho = self._morpho_book
        snapshot, depth = await self._scene.snapshot(), self._random.randrange(1, _DEEPEST_REORG + 1)
        for _ in range(depth):
            await self._block()
        await self._scene.go_back(snapshot)
        for _ in range(depth):
            assert self._blocks.head is not None
            gone = self._blocks.head.hash
            effects = self._blocks.retract(gone)
            if effects:
                raise self._differs(f"the retracted block asks for {effects}")
            self._loans.retract(gone)
        self._states, self._rounds, self._morpho_book = before, rounds, morpho
        self._restore(held)
        if self._loans.book is None:  # a position was read after a block that is gone
            await self._load_loans()
        elif self._loans.book != book:
            raise self._differs(f"{LOANS.decode()}: not undone: {self._loans.book}, was {book}")
        self._book = self._loans.book
        self.report.reorgs += 1
        for pool_id, state in before.items():
            if self._market.state_of(pool_id) != state:
                raise self._differs(f"{self._name(pool_id)}: not undone: {self._market.state_of(pool_id)}, was {state}")

    def _restore(self, held: dict[Range, int]) -> None:
        self._ground.held.clear()
        self._ground.held.update(held)

    async def _audit(self, *, whole: bool) -> None:
        """Every pool's state as the engine reads it from the chain; of ticks only the words we believe in, or all."""
        head = await self._scene.head()
        words = {
            pool_id: sorted(state.ticks.bitmap)
            for pool_id, state in self._states.items()
            if isinstance(state, ConcentratedPool) and not whole
        }
        found = await self._reader.read(list(self._specs.values()), Hash32(bytes.fromhex(head.hash[2:])), words)
        for pool_id, state in self._states.items():
            read = found[pool_id]
            if read != state and not (isinstance(read, Unreadable) and gives_no_quote(self._specs[pool_id], state)):
                raise self._differs(f"{self._name(pool_id)}: ours {state}, on the chain {read}")
        differs = await self._loan_reader.differing(self._known_book(), await self._header())
        if differs is not None:
            raise self._differs(f"{LOANS.decode()}: {differs}")
        self.report.audits += 1

    def _told(self, step: Step) -> str:
        return f"{self._name(step.pool)}: {step.action}"

    def _state(self, pool_id: PoolId) -> Any:
        if pool_id == MORPHO:
            return self._morpho_book
        return self._book if pool_id == LOANS else self._states[pool_id]

    def _family(self, pool_id: PoolId) -> str:
        return pool_id.decode() if pool_id in (LOANS, MORPHO) else str(self._specs[pool_id].family)

    def _name(self, pool_id: PoolId) -> str:
        return pool_id.decode() if pool_id in (LOANS, MORPHO) else _name(self._specs[pool_id])

    def _differs(self, what: str) -> Differs:
        return Differs(f"seed {self.report.seed}, after {self.report.steps} steps, {self.report.blocks} blocks: {what}")


def _name(spec: PoolSpec) -> str:
    return f"{spec.family} {address_to_hex(spec.address)}"


def gives_no_quote(spec: PoolSpec, state: PoolState) -> bool:
    """Whether no quote can be had of a pool, so that the reader refuses it: then its balances alone are judged."""
    try:
        checks_of(spec, versions_of(state), {PoolFamily.BALANCER_V2_WEIGHTED: ZERO_ADDRESS})
    except AmmError:
        return True
    return False


def _bare(state: Any) -> Any:
    """Without the fees' growth, which no log tells and no amount depends on."""
    if isinstance(state, ConcentratedPool):
        return msgspec.structs.replace(state, fee_growth_global0_x128=0, fee_growth_global1_x128=0)
    return state


def for_seconds(seconds: float) -> Callable[[Report], bool]:
    """Enough once so much time has passed."""
    end = time.monotonic() + seconds
    return lambda _report: time.monotonic() >= end
