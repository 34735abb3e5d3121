"""A chain in memory with Morpho, an honest market and a stranger's, and what reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from node.engine.headers import Header, header_from_json
from node.engine.morpho_reading import MorphoReader
from node.engine.multicall import View
from node.engine.pool_topics import LogJson
from node.engine.rpc import Call, RpcRefused
from node.pipeline.lending.morpho_blue import WAD
from node.pipeline.lending.morpho_book import MorphoBook
from protocol.ethereum.abi import encode, selector
from protocol.ethereum.keccak import keccak256
from protocol.units import address_from_hex, address_to_hex
from tests.fake_blocks import header_json
from tests.manual_clock import ManualClock

GOOD, BAD = b"\x0a" * 32, b"\x0b" * 32
MORPHO, MODEL = "0x" + "aa" * 20, "0x" + "1d" * 20
LOAN, COLLATERAL = "0x" + "01" * 20, "0x" + "02" * 20
GOOD_ORACLE, BAD_ORACLE = "0x" + "11" * 20, "0x" + "12" * 20
GOOD_PROXY, BAD_PROXY, BAD_LOAN_PROXY = "0x" + "21" * 20, "0x" + "22" * 20, "0x" + "23" * 20
AGGREGATOR, OWN = "0x" + "c1" * 20, "0x" + "c2" * 20
IDENTITY = "0x" + "04".rjust(40, "0")
PRICE, SCALE = 3_000 * 10**8, 10**20
OTHERS, OTHERS_ORACLE, OTHERS_FEED = b"\x03" * 32, "0x" + "0f" * 20, "0x" + "0e" * 20
HEADER = header_from_json(orjson.dumps(header_json(7)))
PARTS = ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2", "BASE_VAULT", "QUOTE_VAULT")


def word(value: int | str) -> bytes:
    return (value if isinstance(value, int) else int(value, 16)).to_bytes(32, "big")


class Chain:
    """What each contract answers, by address and function; nothing is a refusal. Aggregators let no contract read."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, bytes], bytes] = {}
        self.logs: list[LogJson] = []
        self.clock = ManualClock()
        self.seconds: dict[str, float] = {}
        """How long a contract takes whatever it is asked, by address."""
        self.asked: list[str] = []
        self.refusals: dict[str, RpcRefused] = {}
        """Of what is asked from outside, by address."""
        for oracle, proxy in ((GOOD_ORACLE, GOOD_PROXY), (BAD_ORACLE, BAD_PROXY)):
            self.set(oracle, **dict.fromkeys(PARTS, word(0)), SCALE_FACTOR=word(SCALE), price=word(PRICE * SCALE))
            self.set(oracle, BASE_FEED_1=word(proxy))
            self.set(proxy, aggregator=word(AGGREGATOR), latestAnswer=word(PRICE), decimals=word(8))
        self.set(BAD_PROXY, aggregator=word(OWN))
        for aggregator in (AGGREGATOR, OWN):
            self.set(aggregator, latestAnswer=word(PRICE))
        for token in (LOAN, COLLATERAL):
            self.set(token, decimals=word(18))
        self.open(GOOD, GOOD_ORACLE)
        self.open(BAD, BAD_ORACLE)

    def set(self, target: str, **answers: bytes) -> None:
        """By the names of functions without arguments."""
        self.answers |= {(target, selector(f"{name}()")): answer for name, answer in answers.items()}

    def open(self, name: bytes, oracle: str, collateral: str = COLLATERAL) -> None:
        """Create a market."""
        params = encode(["(address,address,address,address,uint256)"], [(LOAN, collateral, oracle, MODEL, WAD // 2)])
        topic = keccak256(b"CreateMarket(bytes32,(address,address,address,address,uint256))")
        self._log([topic, name], params)

    def enter(self, name: bytes, user: str, *, owes: int = 0, has: int = 1) -> None:
        """Let a user put collateral up, and owe so many shares since."""
        topic = keccak256(b"SupplyCollateral(bytes32,address,address,uint256)")
        self._log([topic, name, word(user), word(user)], word(1))
        asked = selector("position(bytes32,address)") + name + word(user)
        self.answers[MORPHO, asked] = word(0) + word(owes) + word(has)

    def lend(self, *names: bytes) -> None:
        """Let markets have totals: 9 supplied and 5 owed, in assets and in shares, since second 1, without a fee."""
        for name in names:
            self.answers[MORPHO, selector("market(bytes32)") + name] = word(9) * 2 + word(5) * 2 + word(1) + word(0)

    def _log(self, topics: Sequence[bytes], data: bytes) -> None:
        told = ["0x" + topic.hex() for topic in topics]
        self.logs.append(LogJson(MORPHO, told, "0x" + data.hex(), "0x", hex(len(self.logs))))

    async def read(self, views: Sequence[View], _at: bytes) -> list[bytes | None]:
        """As Multicall does, which no aggregator lets read."""
        targets = [address_to_hex(view.target) for view in views]
        self.asked += targets
        await asyncio.sleep(0)  # a deadline begins
        await self.clock.advance(sum(self.seconds.get(target, 0.0) for target in set(targets)))
        for _ in range(5):
            await asyncio.sleep(0)  # a deadline that has passed ends this
        return [self._answer(target, view.data) for target, view in zip(targets, views, strict=True)]

    async def call(self, method: str, *_: Any, **__: Any) -> list[LogJson]:
        assert method == "eth_getLogs"
        told, self.logs = self.logs, []
        return told

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """From outside."""
        asked = [(call.params[0]["to"], bytes.fromhex(call.params[0]["data"][2:])) for call in calls]
        return [self._outside(*one) for one in asked]

    def _outside(self, target: str, data: bytes) -> Any:
        if target == IDENTITY and target not in self.refusals:
            return data
        told = self.refusals.get(target, self.answers.get((target, data)))
        return told or RpcRefused("node", "eth_call", 3, "execution reverted")

    def _answer(self, target: str, data: bytes) -> bytes | None:
        assert len(address_from_hex(target)) == 20
        if target == MORPHO:
            return self.answers.get((target, data), bytes(32 * (6 if data[:4] == selector("market(bytes32)") else 3)))
        if target in (AGGREGATOR, OWN) and data == selector("latestAnswer()"):
            return None
        return self.answers.get((target, data))


def reader(chain: Chain) -> MorphoReader:
    return MorphoReader(chain, chain, address_from_hex(MORPHO), chain.clock)  # type: ignore[arg-type]


async def read(chain: Chain) -> MorphoBook:
    return await taken(reader(chain))


async def taken(one: MorphoReader, head: Header = HEADER) -> MorphoBook:
    told = (await one.read(head)).book
    assert isinstance(told, MorphoBook)
    return told


def header_at(number: int) -> Header:
    return header_from_json(orjson.dumps(header_json(number)))
