"""What the pipeline must know before it plans on a block: outcomes of the last bundles, what the hot keys paid beside
them, balances, nonces, lenders, what our Safes allow.

Where the chain does not answer, it plans on what it knew: outcomes stay to be judged, the risk gate sees their age;
both are asked for again meanwhile. What the keys paid is looked for again with the next head.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from node.clock import Clock
from node.engine.ask_again import ask_again
from node.engine.core import EngineCore
from node.engine.day_limits import DayLimits
from node.engine.headers import Header
from node.engine.network.part import NetworkPart
from node.engine.outcomes import Outcome
from node.engine.own_evm import OwnEvm
from node.engine.rpc import RpcError
from node.engine.strays import Strays
from node.engine.treasury import Read, Treasury
from node.engine.vault_limits import VaultLimits
from node.pipeline.events import TreasuryRead
from node.pipeline.risk import DayUse
from protocol.units import Address, Wei

SHADOW_SENDER: Final = Address(b"\x00" * 19 + b"\x01")
"""Stands for a hot key in shadow mode: nobody can sign for it."""
SHADOW_BALANCE: Final = Wei(10**20)
_Item = TypeVar("_Item")
_LOG: Final = logging.getLogger("hftnode.engine")


@dataclass(frozen=True, slots=True)
class BeforeBlock:
    """See the module."""

    core: EngineCore
    own_evm: OwnEvm
    treasury: Treasury
    vaults: VaultLimits
    strays: Strays
    network: NetworkPart | None
    limits: DayLimits
    clock: Clock
    is_lockstep: bool

    async def __call__(self, header: Header) -> None:
        """Learn and feed all that there is to know at a block."""
        core, treasury = self.core, self.treasury
        core.begin(header.number)
        self.own_evm.follow(header)
        if self.network is not None and self.network.exchange is None:
            self.network.head_seen(header)
        if self.is_lockstep:
            await self._read_vaults(header)
        else:  # of what is planned meanwhile, the simulation tells
            core.beside(self._read_vaults(header))
        judged, answer = await asyncio.gather(
            core.outcomes.judge(header), treasury.read(header.hash), return_exceptions=True
        )
        self._take_judged(self._answered(judged))
        reads = self._answered(answer)
        await self._look_for_strays(header, reads)
        if self.limits.is_news(core.state.gate.used):
            core.beside(self._keep_limits(core.state.gate.used))
        is_told = self._take_treasury(reads)
        if isinstance(judged, RpcError):
            again = partial(core.outcomes.judge, header, again=True)
            core.beside(ask_again(again, self._take_judged, partial(self._is_current, header), self.clock.sleep))
        if not is_told:
            read = partial(treasury.read, header.hash)
            core.beside(ask_again(read, self._take_treasury, partial(self._is_current, header), self.clock.sleep))
        if self.network is not None and self.network.exchange is not None:
            await self.network.take_up(header)
        if not treasury.balances:
            core.feed(TreasuryRead(SHADOW_SENDER, SHADOW_BALANCE, 0))

    async def _read_vaults(self, header: Header) -> None:
        """What our Safes allow; what the chain does not tell stays as it was."""
        try:
            news = await self.vaults.read(header.hash)
        except RpcError:
            self.core.counts["reads_failed"] += 1
            return
        for read in news:
            self.core.feed(read)

    def _is_current(self, header: Header) -> bool:
        """Unless a later block is there, or another in this one's place."""
        head = self.core.state.blocks.head
        return self.core.head == header.number and (head is None or head.hash in (header.hash, header.parent_hash))

    def _take_judged(self, judged: Sequence[Outcome]) -> bool:
        """Tell and learn what became of bundles; that is all there is to know of a block."""
        for event, made in judged:
            self.core.tell(made)
            if event is not None:
                self.core.feed(event)
        return True

    async def _look_for_strays(self, header: Header, reads: Sequence[Read]) -> None:
        nonces = {read.address: read.nonce for read in reads if isinstance(read, TreasuryRead)}
        for event, made in await self.strays.look(header, nonces):
            if made is not None:
                self.core.tell(made)
            if event is not None:
                self.core.feed(event)

    def _take_treasury(self, reads: Sequence[Read]) -> bool:
        """Take in what was told; whether that is every key's nonce."""
        for read in reads:
            self.core.feed(read)
        return self.treasury.is_whole(reads)

    async def _keep_limits(self, use: DayUse) -> None:
        """Write down what the day has used; a full disk is counted here, and stops the execution at the spool."""
        try:
            await self.limits.keep(use)
        except OSError as error:
            self.core.counts["limits_unsaved"] += 1
            _LOG.error("what the day's limits have used cannot be written: %s", error)

    def _answered(self, answer: list[_Item] | BaseException) -> list[_Item]:
        """What the chain told; nothing, which is counted, where it did not answer."""
        if isinstance(answer, RpcError):
            self.core.counts["reads_failed"] += 1
            return []
        if isinstance(answer, BaseException):
            raise answer
        return answer
