"""The run: each block is read once, every actor plans, and the plans are sent; in real time or in lockstep.

Errors of the chain end a block, not the run: they are counted, waited for with a growing pause, and the next head goes
on. In lockstep they end the run, since what was missed cannot be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors.announcements import Announcements, HeadAnnounced, StageAnnounced
from devnet.actors.cast import FLOW_PARTICIPANT, Cast, Searcher
from devnet.actors.gateway import Gateway
from devnet.actors.intents import MOMENTS, Intent
from devnet.actors.market import Market
from devnet.actors.oracle import next_prices
from devnet.actors.outcomes import Outcomes
from devnet.actors.parameters import Parameters
from devnet.actors.pending import PendingReader
from devnet.actors.randomness import Dice
from devnet.actors.reading import StateReader
from devnet.actors.settling import CATCH_UP, Settling
from devnet.actors.stages import pass_stage, taking_part
from devnet.actors.taping import TapeRecorder
from devnet.actors.view import View
from devnet.actors.wallet import Wallet
from devnet.errors import ChainFailed, RpcError
from devnet.rpc import RpcClient

_log = logging.getLogger(__name__)
_LAST_MOMENT: Final = 0.85
"""Flow is spread over this part of the block time, so that nearly all of it is there when the block is built."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds to wait after the first, second … failure in a row; the last one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What a run needs to know beside its parts."""

    seed: int
    websocket_url: str
    lockstep: bool
    block_seconds: float
    moments: Mapping[str, Decimal]
    """Searcher's name to when in the block it acts, in real time."""


class Session:
    """One run over one chain. `counts` has blocks, failures and what was sent."""

    def __init__(
        self,
        *,
        config: SessionConfig,
        rpc: RpcClient,
        gateway: Gateway,
        market: Market,
        parameters: Parameters,
        cast: Cast,
        reader: StateReader,
        wallet: Wallet,
        outcomes: Outcomes,
        recorder: TapeRecorder | None = None,
    ) -> None:
        self._config, self._rpc, self._gateway = config, rpc, gateway
        self._market, self._parameters, self._cast = market, parameters, cast
        self._reader, self._wallet, self._outcomes = reader, wallet, outcomes
        self._pending = PendingReader(market)
        self._prices: tuple[int, dict[str, int]] | None = None
        self._recorder = recorder
        raised = {name for searcher in cast.searchers for name in market.manifest.funded.get(searcher.name, ())}
        self._settling = Settling(rpc, wallet, outcomes, frozenset(raised if recorder is not None else ()))
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Play until cancelled. In lockstep raises `ChainFailed` or `RpcError` when the chain does."""
        if self._config.lockstep:
            await self._run_lockstep()
            return
        failures = 0
        while True:
            before = self.counts["blocks"]
            try:
                await self._run_real_time()
            except (ChainFailed, RpcError) as error:
                failures = 1 if self.counts["blocks"] > before else failures + 1
                self.counts["failures"] += 1
                pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
                _log.warning("%s; again in %g s", error, pause)
                await asyncio.sleep(pause)

    async def _run_real_time(self) -> None:
        """Follow heads; a block that is still being played when the next comes is cut short."""
        async with Announcements(self._config.websocket_url, lockstep=False) as announcements:
            playing: asyncio.Task[None] | None = None
            cut = asyncio.Event()
            try:
                async for announcement in announcements:
                    if not isinstance(announcement, HeadAnnounced):
                        continue
                    if playing is not None:
                        cut.set()
                        await playing
                    cut = asyncio.Event()
                    playing = asyncio.create_task(self._play(announcement.number, announcements, cut))
            finally:
                if playing is not None:
                    playing.cancel()
                    await asyncio.gather(playing, return_exceptions=True)

    async def _run_lockstep(self) -> None:
        """Pass the barriers of both stages, block after block."""
        # Listening before joining: the first stage opens with the last participant's joining.
        async with (
            Announcements(self._config.websocket_url, lockstep=True) as announcements,
            taking_part(self._rpc),
        ):
            view: View | None = None
            async for announcement in announcements:
                if not isinstance(announcement, StageAnnounced):
                    continue
                if announcement.stage == 0:
                    view = await self._look(announcement.block - 1, announcements)
                    for intent in self._plan_flow(view):
                        await self._send(intent, view)
                    await pass_stage(self._rpc, FLOW_PARTICIPANT, announcement)
                elif view is not None:
                    for searcher in self._cast.searchers:
                        await self._search(searcher, view, announcements)
                        await pass_stage(self._rpc, searcher.name, announcement)
                    if self._recorder is not None:
                        self._recorder.end(announcement.block)

    async def _play(self, number: int, announcements: Announcements, cut: asyncio.Event) -> None:
        """One block in real time: flow spread over the block, each searcher at its moment; `cut` ends it early.

        Nothing is ended in the middle of a request: it would not be known whether a transaction was sent.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        view = await self._look(number, announcements)
        due: list[tuple[float, Intent | Searcher]] = [
            (intent.moment / MOMENTS * _LAST_MOMENT, intent) for intent in self._plan_flow(view)
        ]
        due += [(float(self._config.moments[searcher.name]), searcher) for searcher in self._cast.searchers]
        due.sort(key=lambda entry: entry[0])
        for moment, what in due:
            if await _is_set_within(cut, start + moment * self._config.block_seconds - loop.time()):
                self.counts["blocks_cut_short"] += 1
                return
            if isinstance(what, Intent):
                await self._send(what, view)
            else:
                await self._search(what, view, announcements)

    async def _look(self, number: int, announcements: Announcements) -> View:
        """Settle what happened up to block `number`, and read its view."""
        block = await self._settling.settle(number, announcements)
        prices = self._advance_prices(number)
        timestamp, base_fee = int(block["timestamp"], 16), int(block["baseFeePerGas"], 16)
        view = await self._reader.read(number, timestamp, base_fee, prices)
        if self._prices is None:
            # The walk begins at what the feeds say, so that a restart goes on where the last run was.
            known = {symbol: feed.answer_e8 for symbol, feed in view.feeds.items() if feed.answer_e8 > 0}
            prices.update(known)
            self._prices = (number, prices)
        self.counts["blocks"] += 1
        return view

    def _advance_prices(self, number: int) -> dict[str, int]:
        """The reference prices at a block: one step of the walk for each block since the last."""
        if self._prices is None:
            return {token.symbol: token.usd_price_e8 for token in self._market.manifest.tokens}
        last, prices = self._prices
        for block in range(max(last, number - CATCH_UP) + 1, number + 1):
            dice = Dice(self._config.seed, "prices", block)
            prices = next_prices(self._market, self._parameters.oracle, prices, dice)
        self._prices = (number, prices)
        return prices

    def _plan_flow(self, view: View) -> list[Intent]:
        """Everything public for the next block, in the order of its moments."""
        intents = [
            intent
            for actor in self._cast.flow
            for intent in actor.plan(view, Dice(self._config.seed, actor.name, view.number))
        ]
        return sorted(intents, key=lambda intent: intent.moment)  # stable: an approval stays before what needs it

    async def _send(self, intent: Intent, view: View) -> None:
        # Signed no earlier than now: a block that is cut short leaves no gap in the nonces.
        signed = self._wallet.sign(intent, view.number + 1, view.base_fee)
        try:
            await self._gateway.send(signed.raw, FLOW_PARTICIPANT)
        except RpcError as error:
            self.counts["refused"] += 1
            self._outcomes.refused(signed, error.message)
            return
        if self._recorder is not None:
            self._recorder.transaction(signed)

    async def _search(self, searcher: Searcher, view: View, announcements: Announcements) -> None:
        pending = self._pending.swaps(announcements.pending)
        for intent in searcher.plan(view, pending, Dice(self._config.seed, searcher.name, view.number)):
            bundle = self._wallet.sign_bundle(intent, view.number + 1, view.base_fee)
            if self._recorder is not None:
                self._wallet.landed(bundle)  # or not: its nonces do not come again
                await self._recorder.bundle(bundle)
            signer = named_account(f"{searcher.name}-flashbots-identity")
            refusals = await self._gateway.send_bundle(bundle.raws, bundle.block, searcher.name, signer)
            self._outcomes.offered(bundle, refusals)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most so long; return whether it is."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    return event.is_set()
