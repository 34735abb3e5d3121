"""Which head to follow, of what several nodes announce; and which nodes not to trust. No I/O here.

The first to announce a higher head wins; the others confirm it by announcing it too. A head at the same height or below
is followed only if it comes from the node that the present head came from: that node's chain was reorganised. A node
is benched, with the reason in its status, while

- it is on another chain, or announces a header that does not hash to its hash, or one whose ancestors are not there;
- its head is `LAG_BLOCKS` or more behind the best one;
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

LAG_BLOCKS: Final = 3


class Heads:
    """What each node's head is, and the best of them. `counts`: `won` heads by node, `confirmed`, `benched`."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.best: Header | None = None
        self.counts: Counter[str] = Counter()
        self._source: Endpoint | None = None
        self._endpoints = tuple(endpoints)
        self._latest: dict[str, Header] = {}
        self._faults: dict[str, str] = {}

    def announced(self, endpoint: Endpoint, header: Header) -> bool:
        """Take in a node's head; return whether it is the one to follow now."""
        self._latest[endpoint.name] = header
        won = not self._faults.get(endpoint.name) and self._wins(endpoint, header)
        if won:
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

    def _wins(self, endpoint: Endpoint, header: Header) -> bool:
        if self.best is None or header.number > self.best.number:
            return True
        return header.hash != self.best.hash and self._source in (endpoint, None)

    def _judge(self) -> None:
        for endpoint in self._endpoints:
            latest = self._latest.get(endpoint.name)
            behind = 0 if latest is None or self.best is None else self.best.number - latest.number
            lag = f"{behind} blocks behind the others" if behind >= LAG_BLOCKS else ""
            endpoint.benched = self._faults.get(endpoint.name) or lag


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
