"""Blocks, and the alerts that they give: what the vectors and the tests are made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from node.engine.headers import Header
from node.engine.network.block_alerts import block_alerts
from node.engine.receipts import Receipt
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity
from node.engine.vault_logs import Log
from protocol.ethereum.keccak import keccak256
from protocol.messages import SecurityAlert
from protocol.units import Address, BlockNumber, Gas, UnixSeconds, Wei
from tests.protocol_factories import ALICE, BOB, CAROL, hash_of

POOL, OTHER_POOL, ROUTER, BOT, FEED, OTHER_FEED = (Address(bytes([place]) * 20) for place in range(10, 16))
VAULT, POOL_ID = Address(b"\x10" * 20), b"\x11" * 32
LOW, HIGH = b"\x01" * 20, b"\x02" * 20
MASK: Final = (1 << 256) - 1


class Block(NamedTuple):
    """A mined block, and what its feeds had answered after its parent."""

    name: str
    receipts: tuple[Receipt, ...]
    before: dict[Address, int]

    @property
    def alerts(self) -> list[SecurityAlert]:
        """What it gives."""
        return block_alerts(header(), self.receipts, self.before)


def header(number: int = 7) -> Header:
    """Return the header of a block."""
    block, parent = hash_of(f"block {number}"), hash_of(f"block {number - 1}")
    time = UnixSeconds(1_790_000_000 + number)
    return Header(BlockNumber(number), block, parent, time, Wei(1), Gas(1), Gas(1), POOL, hash_of("randao"), None)


def receipt(name: str, origin: Address, *logs: Log, to: Address | None = ROUTER) -> Receipt:
    """Return one transaction's receipt."""
    one = Quantity(1)
    called = None if to is None else AddressHex(to)
    return Receipt(HashHex(hash_of(name)), one, one, one, logs, AddressHex(origin), called)


def log(address: bytes, event: str, *words: int, topics: tuple[bytes, ...] = ()) -> Log:
    """Return a log; negative words in two's complement."""
    data = Data(b"".join((word & MASK).to_bytes(32, "big") for word in words))
    return Log(AddressHex(address), (HashHex(keccak256(event.encode())), *map(HashHex, topics)), data)


def v2(*amounts: int, pool: bytes = POOL) -> Log:
    """Return a swap's log: amounts in of token 0 and 1, out of token 0 and 1."""
    return log(pool, "Swap(address,uint256,uint256,uint256,uint256,address)", *amounts)


def v3(amount0: int, amount1: int, pool: bytes = POOL) -> Log:
    """Return a swap's log: what the pool got of token 0 and 1."""
    return log(pool, "Swap(address,address,int256,int256,uint160,uint128,int24)", amount0, amount1, 1, 1, 1)


def at_vault(token_in: bytes, token_out: bytes, amount_in: int, amount_out: int) -> Log:
    """Return the log of Balancer V2's vault for a swap."""
    tokens = (token_in.rjust(32, b"\0"), token_out.rjust(32, b"\0"))
    return log(VAULT, "Swap(bytes32,address,address,uint256,uint256)", amount_in, amount_out, topics=(POOL_ID, *tokens))


def sync(a: int, b: int, pool: bytes = POOL) -> Log:
    """Return the log of reserves."""
    return log(pool, "Sync(uint112,uint112)", a, b)


def burn(a: int, b: int, pool: bytes = POOL) -> Log:
    """Return the log of liquidity that was taken out."""
    return log(pool, "Burn(address,uint256,uint256,address)", a, b, topics=(bytes(32), bytes(32)))


def answer(value: int, feed: bytes = FEED) -> Log:
    """Return the log of a feed's answer."""
    topics = ((value & MASK).to_bytes(32, "big"), (9).to_bytes(32, "big"))
    return log(feed, "AnswerUpdated(int256,uint256,uint256)", 1_790_000_000, topics=topics)


FRONT, VICTIM, BACK = (
    receipt("front", CAROL, v2(100, 0, 0, 50)),
    receipt("victim", BOB, v2(10, 0, 0, 4)),
    receipt("back", CAROL, v2(0, 50, 104, 0)),
)


def _to(one: Receipt, to: Address | None, origin: Address | None = None) -> Receipt:
    sender = one.sender if origin is None else AddressHex(origin)
    return msgspec.structs.replace(one, to=None if to is None else AddressHex(to), sender=sender)


def blocks() -> Iterator[Block]:
    """Yield blocks of every kind and corner."""
    for name, receipts, before in (*_sandwiches(), *_drains(), *_answers()):
        yield Block(name, tuple(receipts), before)


def _sandwiches() -> Iterator[tuple[str, list[Receipt], dict[Address, int]]]:
    yield "a sandwich in a V2 pool", [FRONT, VICTIM, BACK], {}
    v3_swaps = [v3(100, -50), v3(10, -4), v3(-104, 50)]
    yield "a sandwich in a V3 pool", [
        receipt(name, who, one)
        for name, who, one in zip(("front", "victim", "back"), (CAROL, BOB, CAROL), v3_swaps, strict=True)
    ], {}  # fmt: skip
    at = [at_vault(HIGH, LOW, 100, 50), at_vault(HIGH, LOW, 10, 4), at_vault(LOW, HIGH, 50, 104)]
    yield "a sandwich at Balancer's vault", [
        receipt(name, who, one)
        for name, who, one in zip(("front", "victim", "back"), (CAROL, BOB, CAROL), at, strict=True)
    ], {}  # fmt: skip
    for pool_id in (bytes(12) + POOL, bytes(32), b"\0" * 11 + b"\x01" + POOL):
        forged = [msgspec.structs.replace(one, topics=(one.topics[0], HashHex(pool_id), *one.topics[2:])) for one in at]
        yield f"logs of somebody's vault for the pool id 0x{pool_id.hex()}", [
            receipt(name, who, one)
            for name, who, one in zip(("front", "victim", "back"), (CAROL, BOB, CAROL), forged, strict=True)
        ], {}  # fmt: skip
    yield "two accounts of one contract", [_to(FRONT, BOT), VICTIM, _to(BACK, BOT, ALICE)], {}
    third = receipt("third", BOB, v2(0, 9, 3, 0, pool=OTHER_POOL), to=BOT)
    yield (
        "two accounts of a contract that a third swaps through",
        [_to(FRONT, BOT), VICTIM, _to(BACK, BOT, ALICE), third],
        {},
    )
    yield "two accounts that create contracts", [_to(FRONT, None), VICTIM, _to(BACK, None, ALICE)], {}
    for sold in (49, 50, 51):
        back = receipt("back", CAROL, v2(0, sold, 104, 0))
        yield f"{sold} of 50 sold back: 100 basis points are half of one", [FRONT, VICTIM, back], {}
    big = receipt("front", CAROL, v2(1_000, 0, 0, 500))
    for sold in (494, 495, 505, 506):
        yield f"{sold} of 500 sold back", [big, VICTIM, receipt("back", CAROL, v2(0, sold, 104, 0))], {}
    yield "nobody in between", [FRONT, BACK], {}
    yield "in between somebody who swaps the other way", [FRONT, receipt("victim", BOB, v2(0, 4, 10, 0)), BACK], {}
    yield "in between one's own", [FRONT, _to(VICTIM, ROUTER, CAROL), BACK], {}
    fronts = [
        FRONT,
        receipt("front 2", CAROL, v2(90, 0, 0, 50)),
        VICTIM,
        BACK,
        receipt("back 2", CAROL, v2(0, 50, 9, 0)),
    ]
    yield "two fronts and two backs: the first with the first", fronts, {}
    backs = [FRONT, VICTIM, BACK, receipt("back 2", CAROL, v2(0, 50, 9, 0))]
    yield "one front and two backs", backs, {}
    several = [
        receipt(f"{name} {pool}", who, one)
        for pool in range(25)
        for name, who, one in (
            ("front", CAROL, v2(100, 0, 0, 50, pool=bytes([64 + pool]) * 20)),
            ("victim", BOB, v2(10, 0, 0, 4, pool=bytes([64 + pool]) * 20)),
            ("back", CAROL, v2(0, 50, 104, 0, pool=bytes([64 + pool]) * 20)),
        )
    ]
    yield "more sandwiches than are told", several, {}
    odd = [v2(100, 1, 0, 50), v2(100, 0, 0, 0), v3(1, 1), log(POOL, "Swap()", 1)]
    yield "logs that only look like swaps", [receipt("front", CAROL, *odd), VICTIM, BACK], {}
    both = [receipt("one", CAROL, v2(100, 0, 0, 50), v2(0, 50, 104, 0)), VICTIM]
    yield "front and back in one transaction", both, {}


def _drains() -> Iterator[tuple[str, list[Receipt], dict[Address, int]]]:
    start = receipt("before", ALICE, sync(1_000, 1_000), v2(10, 0, 0, 9))
    for left in (62, 63):
        yield (
            f"reserves of 1000 and 1000 become {left} and 1000 without a swap",
            [start, receipt("drain", CAROL, sync(left, 1_000))],
            {},
        )
    yield "liquidity taken out by its providers", [start, receipt("burn", ALICE, sync(1, 1), burn(999, 999))], {}
    yield (
        "a swap that takes more than it pays, told by itself",
        [receipt("drain", CAROL, sync(100, 100), v2(1, 0, 0, 9_900))],
        {},
    )
    yield "a swap that pays for what it takes", [receipt("swap", CAROL, sync(10_000, 100), v2(9_000, 0, 0, 900))], {}
    yield "reserves of which nothing was known before", [receipt("bare", CAROL, sync(1, 1))], {}
    yield "one pool twice", [start, receipt("drain", CAROL, sync(10, 100)), receipt("again", CAROL, sync(1, 1))], {}
    burnt = receipt("burnt", CAROL, sync(9, 100), burn(1, 1, pool=OTHER_POOL))
    yield "liquidity taken out of another pool", [start, burnt], {}
    many = [
        one
        for pool in range(5)
        for one in (
            receipt(f"before {pool}", ALICE, sync(1_000, 1_000, pool=bytes([64 + pool]) * 20)),
            receipt(f"drain {pool}", CAROL, sync(1, 1, pool=bytes([64 + pool]) * 20)),
        )
    ]
    yield "more drained pools than are told", many, {}


def _answers() -> Iterator[tuple[str, list[Receipt], dict[Address, int]]]:
    for value in (7_999, 8_000, 8_001, 11_999, 12_000):
        yield f"a feed that answers {value} after 10000", [receipt("answer", ALICE, answer(value))], {FEED: 10_000}
    there_and_back = [receipt("there", ALICE, answer(1)), receipt("back", ALICE, answer(10_000))]
    yield "a feed whose last answer of the block is as before", there_and_back, {FEED: 10_000}
    yield "a feed that answers for the first time", [receipt("answer", ALICE, answer(5))], {}
    yield "a feed that answers less than nothing", [receipt("answer", ALICE, answer(-5))], {FEED: 10_000}
    feeds = [Address(bytes([32 + place]) * 20) for place in range(9)]
    many = [receipt(f"answer {place}", ALICE, answer(5, feed)) for place, feed in enumerate(feeds)]
    yield "more feeds that jump than are told", many, dict.fromkeys(feeds, 10_000)
    late = [answer(10_000, feed) for feed in feeds[:8]] + [answer(5, feeds[8])]
    yield "a ninth feed", [receipt("answers", ALICE, *late)], dict.fromkeys(feeds, 10_000)
    mixed = [
        FRONT,
        VICTIM,
        BACK,
        receipt("drain", CAROL, sync(9, 9), v2(1, 0, 0, 9_000)),
        receipt("answer", ALICE, answer(5)),
    ]
    yield "one of each kind", mixed, {FEED: 10_000}
