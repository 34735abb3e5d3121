"""Which head to follow, of what several nodes announce; and which nodes not to trust. No I/O here.

The first to announce a higher head wins; the others confirm it by announcing it too. A head at the same height or below
is followed only if it comes from the node that the present head came from: that node's chain was reorganised.

A head `LAG_BLOCKS` or more above what most nodes have reached is nobody's word but its node's: it is not followed until
others come near, and they are not behind because of it. Two nodes have no majority: there the next block on the head
that is followed is followed, so that one slow node does not hold the other up. Who says the same head again and again
(`STANDS_STILL`) is no witness. A node is benched, with the reason in its status, while

- it is on another chain, or announces a header that does not hash to its hash, or one whose ancestors are not there;
- its head is `LAG_BLOCKS` or more behind the best one, or so much above the others;
- it says one block number and shows another, or does not answer.

The periodic probe (`Probe`) lets it back once its answers make sense again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoint
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import Quantity
from protocol.units import BlockNumber

LAG_BLOCKS: Final = 3
STANDS_STILL: Final = 6
"""A node that has told one head so often, by its probes, does not follow the chain."""
_PAIR: Final = 2


class _Told(msgspec.Struct):
    """A node's head, and how often in a row it told it."""

    header: Header
    times: int = 1


class Heads:
    """What each node's head is, and the best of them. `counts`: `won` heads by node, `confirmed`, `benched`."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.best: Header | None = None
        self.counts: Counter[str] = Counter()
        self._source: Endpoint | None = None
        self._endpoints = tuple(endpoints)
        self._told: dict[str, _Told] = {}
        self._is_witnessed = False
        """Whether the best head, or one that it follows, was near what most nodes had reached."""
        self._faults: dict[str, str] = {}

    def announced(self, endpoint: Endpoint, header: Header) -> bool:
        """Take in a node's head; return whether it is the one to follow now."""
        before = self._told.get(endpoint.name)
        times = before.times + 1 if before is not None and before.header.hash == header.hash else 1
        self._told[endpoint.name] = _Told(header, times)
        self._drop_unwitnessed()
        won = not self._faults.get(endpoint.name) and self._wins(endpoint, header)
        if won:
            self._is_witnessed = self._is_near(header) or (self._is_witnessed and self._continues(header))
            self.best, self._source = header, endpoint
            self.counts[f"won {endpoint.name}"] += 1
        elif self.best is not None and header.hash == self.best.hash:
            self.counts["confirmed"] += 1
        self._judge()
        return won

    def bench(self, endpoint: Endpoint, why: str) -> None:
        """Do not trust a node until a probe of it is right. The best head is another one's from now on."""
        if endpoint.name not in self._faults:
            self.counts["benched"] += 1
        self._faults[endpoint.name] = why
        if self._source is endpoint:
            self._source = None
        self._judge()

    def give_up(self, header: Header) -> None:
        """Do not follow a head that does not connect; the next announcement may win."""
        if self.best is not None and self.best.hash == header.hash:
            self.best = None
            self._source = None

    def cleared(self, endpoint: Endpoint) -> None:
        """A probe of the node was right."""
        self._faults.pop(endpoint.name, None)
        self._judge()

    def source(self) -> Endpoint | None:
        """The node whose head is followed."""
        return self._source

    @property
    def has_trusted(self) -> bool:
        """Whether any node is trusted at present."""
        return any(not endpoint.benched for endpoint in self._endpoints)

    def _reached(self) -> int | None:
        """The height that most of the nodes that may be believed have reached; None with fewer than two of them."""
        heights = sorted(self._witnesses().values(), reverse=True)
        return heights[len(heights) // 2] if len(heights) >= _PAIR else None

    def _witnesses(self) -> dict[str, BlockNumber]:
        return {
            name: told.header.number
            for name, told in self._told.items()
            if name not in self._faults and told.times < STANDS_STILL
        }

    def _above(self, header: Header) -> int:
        """By how many blocks a head is above the height that most have reached, if it is by too many; else 0."""
        reached = self._reached()
        above = 0 if reached is None else header.number - reached
        return above if above >= LAG_BLOCKS else 0

    def _is_near(self, header: Header) -> bool:
        return self._reached() is not None and not self._above(header)

    def _continues(self, header: Header) -> bool:
        return self.best is not None and header.parent_hash == self.best.hash

    def _drop_unwitnessed(self) -> None:
        """Leave a head that its node told first of all, and that the others do not come near."""
        if self.best is None or self._is_witnessed:
            return
        if self._above(self.best):
            self.best, self._source = None, None
        else:
            self._is_witnessed = self._is_near(self.best)

    def _wins(self, endpoint: Endpoint, header: Header) -> bool:
        if self._above(header) and not (len(self._witnesses()) == _PAIR and self._continues(header)):
            return False
        if self.best is None or header.number > self.best.number:
            return True
        return header.hash != self.best.hash and self._source in (endpoint, None)

    def _judge(self) -> None:
        for endpoint in self._endpoints:
            told = self._told.get(endpoint.name)
            away = "" if told is None else self._away(told.header)
            endpoint.benched = self._faults.get(endpoint.name) or away

    def _away(self, header: Header) -> str:
        """Why a node's head makes it not to be trusted; empty if it does not."""
        behind = 0 if self.best is None else self.best.number - header.number
        if behind >= LAG_BLOCKS:
            return f"{behind} blocks behind the others"
        if behind < 0 and (above := self._above(header)):
            return f"says block {header.number}, {above} above what most others have reached: not followed"
        return ""


class ProbeFailed(Exception):
    """Why a node is not to be trusted."""


class WrongChain(ProbeFailed):
    """It is on another chain: waiting does not help."""


async def probe(endpoint: Endpoint, chain_id: int, seconds: float) -> Header:
    """Ask a node for chain, height and head; return its head. Raises ProbeFailed."""
    calls = [
        Call("eth_chainId", (), Quantity),
        Call("eth_blockNumber", (), Quantity),
        Call("eth_getBlockByNumber", ("latest", False), msgspec.Raw),
    ]
    try:
        answers: list[Any] = await endpoint.rpc.batch(calls, seconds=seconds)
    except RpcError as error:
        raise ProbeFailed(str(error)) from None
    for answer in answers:
        if isinstance(answer, RpcError):
            raise ProbeFailed(str(answer))
    chain, number, raw = answers
    if chain != chain_id:
        raise WrongChain(f"on chain {int(chain)}, not {chain_id}")
    try:
        header = header_from_json(raw)
    except HeaderInvalid as error:
        raise ProbeFailed(str(error)) from None
    if number > header.number:
        raise ProbeFailed(f"says block {int(number)} and shows block {header.number}")
    return header
