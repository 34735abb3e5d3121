"""The oracles of Morpho's markets, told apart into feeds: whoever makes a market writes its oracle, and may lie in it.

An oracle counts as understood if its parts, put together our way with what the aggregators themselves answer, give the
price that it says. A proxy's word for an answer is not taken: a stranger's would name an aggregator of others. Sources:
morpho-blue-oracles, IMorphoChainlinkOracleV2.sol; the devnet's FeedPriceOracle; Chainlink's
SimpleReadAccessController.sol, by which an aggregator answers contracts that are let in, and whoever asks from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from node.clock import Clock, within
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.loan_reading import submitters_of
from node.engine.morpho_prices import PRICE
from node.engine.multicall import Multicall, View, signed_at
from node.engine.rpc import Call, RpcRefused
from node.engine.rpc_types import Data
from node.engine.view_answers import address_at, number_of, present
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.morpho_book import FeedOracle, MarketParams
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Hash32, address_from_hex, address_to_hex

MOST_DIFFERENCES: Final = 3
"""An oracle whose price so often was not what its feeds make of it is refused: it is followed wrongly, or it lies."""
FORGIVEN_BLOCKS: Final = 7_200
"""So long after the last time: an honest one differs too where the logs of a feed did not come."""
READ_SECONDS: Final = 20.0
"""For all oracles of one read; one may take a node as long to answer as its maker pleases. Those left are refused."""
SLOW_SECONDS: Final = 5.0
"""An oracle that takes longer comes last; one takes seven requests or fewer where nothing is refused."""
MAX_DECIMALS: Final = 77
"""Of a token or a feed: ten to the power of more is no word."""
_ORACLE_DECIMALS: Final = 36
_GAS: Final = hex(1_000_000)
"""For an aggregator's answer, which takes some thousands."""
_IDENTITY: Final = "0x" + "04".rjust(40, "0")
"""A precompile that answers what it is asked, at every block."""
_TOO_MANY: Final = frozenset({-32005, 429})
"""EIP-1474's "limit exceeded", and HTTP's."""
_DECIMALS, _AGGREGATOR = selector("decimals()"), selector("aggregator()")
_ANSWER: Final = selector("latestAnswer()")
_OF_FEEDS: Final = (selector("collateralFeed()"), selector("loanFeed()"))
_OF_CHAINLINK: Final = tuple(
    selector(f"{name}()") for name in ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2")
)
_SCALE, _VAULTS = selector("SCALE_FACTOR()"), (selector("BASE_VAULT()"), selector("QUOTE_VAULT()"))


class _Parts(msgspec.Struct, frozen=True):
    """An oracle's feeds, by their proxies, and its scale; None where it follows from the tokens and feeds."""

    base: tuple[Address, ...]
    quote: tuple[Address, ...]
    scale: int | None


class Understood(msgspec.Struct, frozen=True):
    """Oracles by address, the feeds' answers and whose they take by aggregator, markets whose oracle is not understood
    and why.
    """

    oracles: dict[str, FeedOracle]
    answers: dict[str, int]
    submitters: dict[str, frozenset[str]]
    refused: dict[bytes, str]


_WELL, _NOT_ASKED, _BADLY = range(3)
"""How an oracle was read, in the order of turns."""


class _OfOracle(ValueError):
    """An oracle is not understood, whichever market it is asked for."""


class OracleReader:
    """Reads them. What a contract answers that is none of Morpho's refuses its market, and nothing else."""

    def __init__(self, endpoints: Endpoints, multicall: Multicall, clock: Clock) -> None:
        self._endpoints, self._multicall, self._clock = endpoints, multicall, clock
        self._took: dict[str, tuple[int, float]] = {}
        """How the last read of an oracle went, and the seconds that it took; without those that were left."""
        self._are_some_left = False
        self._differed: dict[str, tuple[int, BlockNumber]] = {}
        """How often, and when the last time, by oracle: those of the markets that are followed."""

    def differed(self, oracle: str, block: BlockNumber) -> None:
        """An oracle said another price than its feeds make."""
        self._differed[oracle] = self._differed.get(oracle, (0, block))[0] + 1, block

    @property
    def refuses_some(self) -> bool:
        """Whether oracles are refused that may be forgiven, or were left for another read."""
        return self._are_some_left or any(times >= MOST_DIFFERENCES for times, _ in self._differed.values())

    async def read(self, params: Mapping[bytes, MarketParams], head: Header) -> Understood:
        """Return what is understood of the markets' oracles after a block. Raises RpcError."""
        at = head.hash
        self._differed = {
            oracle: (times, last)
            for oracle, (times, last) in self._differed.items()
            if head.number < last + FORGIVEN_BLOCKS
        }
        told, refusals, took = Understood({}, {}, {}, {}), dict[str, str](), dict[str, tuple[int, float]]()
        ends_at, left = self._clock.monotonic() + READ_SECONDS, 0
        for name, one in self._in_turn(params):
            if one.oracle in told.oracles:
                continue
            begun = self._clock.monotonic()
            try:
                if one.oracle in refusals:
                    raise _OfOracle(refusals[one.oracle])
                await self._take_until(ends_at, one, told, at)
            except TimeoutError:
                told.refused[name] = f"its oracle was not read within {READ_SECONDS:g} s"
                if self._clock.monotonic() - begun <= SLOW_SECONDS:
                    left += one.oracle not in took
                    continue
            except (ValueError, LendingError) as error:
                if isinstance(error, _OfOracle):
                    refusals[one.oracle] = str(error)
                told.refused[name] = f"its oracle's price is not one of feeds that we can follow: {error}"
            seconds = self._clock.monotonic() - begun
            is_well = one.oracle in told.oracles and seconds <= SLOW_SECONDS
            took[one.oracle] = (_WELL if is_well else _BADLY), max(seconds, took.get(one.oracle, (0, 0.0))[1])
        self._are_some_left, self._took = left > 0, took
        return told

    def _in_turn(self, params: Mapping[bytes, MarketParams]) -> list[tuple[bytes, MarketParams]]:
        """First the oracles that were understood in good time, then those that were not asked, then the others; the
        quickest of each first: who makes slow ones holds up no other's for more than one read.
        """
        return sorted(params.items(), key=lambda item: self._took.get(item[1].oracle, (_NOT_ASKED, 0.0)))

    async def _take_until(self, ends_at: float, params: MarketParams, told: Understood, at: Hash32) -> None:
        """As `_take`, but raises TimeoutError at a time of the clock."""
        left = ends_at - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        await within(self._clock, left, self._take(params, told, at))

    async def _take(self, params: MarketParams, told: Understood, at: Hash32) -> None:
        """Raises ValueError and LendingError for an oracle that is not understood, and RpcError."""
        times, _ = self._differed.get(params.oracle, (0, 0))
        if times >= MOST_DIFFERENCES:
            raise _OfOracle(f"{times} times it said another price")
        try:
            parts = await self._parts(address_from_hex(params.oracle), at)
        except ValueError as error:
            raise _OfOracle(*error.args) from None
        try:
            await self._put_together(params, parts, told, at)
        except (ValueError, LendingError) as error:
            if parts.scale is None:
                raise  # the tokens of the market asked for may be what lies
            raise _OfOracle(*error.args) from None

    async def _put_together(self, params: MarketParams, parts: _Parts, told: Understood, at: Hash32) -> None:
        """Raise as `_take` does."""
        proxies = (*parts.base, *parts.quote)
        views = [View(proxy, _AGGREGATOR) for proxy in proxies]
        *named, price = await self._multicall.read([*views, View(address_from_hex(params.oracle), PRICE)], at)
        behind = [address_to_hex(address_at(answer, "a feed's aggregator")) for answer in named]
        scale = await self._scale(params, proxies, at) if parts.scale is None else parts.scale
        unknown = [one for one in dict.fromkeys(behind) if one not in told.answers]
        answers = {one: told.answers[one] for one in behind if one in told.answers} | await self._answers(unknown, at)
        count = len(parts.base)
        oracle = FeedOracle(scale, tuple(behind[:count]), tuple(behind[count:]))
        ours, theirs = oracle.price(answers), number_of(price, "its price")
        if ours != theirs:
            raise ValueError(f"it says {theirs}, its feeds make {ours}")
        submitters = await submitters_of(self._multicall, unknown, at)
        told.oracles[params.oracle] = oracle
        told.answers.update(answers)
        told.submitters.update(submitters)

    async def _parts(self, oracle: Address, at: Hash32) -> _Parts:
        asked = (*_OF_FEEDS, *_OF_CHAINLINK, _SCALE, *_VAULTS)
        answers = await self._multicall.read([View(oracle, data) for data in asked], at)
        of_feeds, of_chainlink, scale, vaults = answers[:2], answers[2:6], answers[6], answers[7:]
        if all(of_feeds):
            collateral, loan = [address_at(answer, "a feed") for answer in of_feeds]
            return _Parts((collateral,), (loan,), None)
        feeds = [address_at(answer, "a feed") for answer in of_chainlink]
        if any(address_at(one, "a vault") != ZERO_ADDRESS for one in vaults):
            raise ValueError("a share of a vault is among its parts")
        used = [tuple(feed for feed in pair if feed != ZERO_ADDRESS) for pair in (feeds[:2], feeds[2:])]
        return _Parts(used[0], used[1], number_of(scale, "its scale"))

    async def _scale(self, params: MarketParams, proxies: tuple[Address, ...], at: Hash32) -> int:
        """Of an oracle of one feed for either token."""
        tokens = (address_from_hex(params.collateral), address_from_hex(params.loan))
        answers = await self._multicall.read([View(one, _DECIMALS) for one in (*tokens, *proxies)], at)
        collateral, loan, of_collateral, of_loan = [
            number_of(answer, "decimals()", most=MAX_DECIMALS) for answer in answers
        ]
        return int(10 ** max(0, _ORACLE_DECIMALS + loan + of_loan - collateral - of_collateral))

    async def _answers(self, aggregators: list[str], at: Hash32) -> dict[str, int]:
        """What they say themselves, asked from outside. Raises ValueError where one does not, and RpcError."""
        if not aggregators:
            return {}
        answers = dict(zip(aggregators, await self._ask(aggregators, at), strict=True))
        unsure = [one for one, told in answers.items() if isinstance(told, RpcRefused) and not told.is_revert]
        if unsure:
            # All the gas, or no instruction: nodes have many words for it. It is the aggregator's where the node
            # answers another call at this block, and refuses this one again.
            other, *again = await self._ask([_IDENTITY, *unsure], at)
            for told in (other, *again):
                if isinstance(told, RpcRefused) and (told is other or told.code in _TOO_MANY):
                    raise told
            answers |= zip(unsure, again, strict=True)
        said = {one: None if isinstance(told, RpcRefused) else told for one, told in answers.items()}
        return {one: signed_at(present(told, f"the aggregator {one}"), 0) for one, told in said.items()}

    async def _ask(self, aggregators: Sequence[str], at: Hash32) -> list[Data | RpcRefused]:
        data, block = "0x" + _ANSWER.hex(), {"blockHash": "0x" + at.hex()}
        calls = [Call("eth_call", ({"to": one, "data": data, "gas": _GAS}, block), Data) for one in aggregators]
        return await self._endpoints.batch(calls)
