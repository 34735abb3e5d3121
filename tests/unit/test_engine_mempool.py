"""Pending transactions: told once, checked, with the sender's nonce, and told again when they are gone."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from node.engine.block_reader import MinedTransaction
from node.engine.mempool import SEEN_BLOCKS, Mempool
from node.engine.rpc_types import AddressHex, HashHex, Quantity
from node.pipeline.events import Event, PendingGone, PendingTransactionSeen
from protocol.ethereum.transaction_json import to_rpc
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds, address_to_hex
from tests.pipeline_scene import signed

ROUTER = Address(b"\x05" * 20)


class Told:
    """A mempool and the events it told."""

    def __init__(self, *, is_for_all: bool = False) -> None:
        self.events: list[Event] = []
        self.ticks = 0
        self.mempool = Mempool({"0x" + ROUTER.hex()}, self.events.append, self._now, 3, is_for_all=is_for_all)

    def _now(self) -> UnixNanoseconds:
        self.ticks += 1
        return UnixNanoseconds(self.ticks)

    def announce(self, transaction: SignedTransaction) -> None:
        self.mempool.announced(orjson.dumps(to_rpc(transaction)))

    def take(self) -> list[Event]:
        events = list(self.events)
        self.events.clear()
        return events

    def mine(self, number: int, *transactions: SignedTransaction) -> None:
        self.mempool.mined(BlockNumber(number), [mined(transaction) for transaction in transactions])


def mined(transaction: SignedTransaction) -> MinedTransaction:
    sender = AddressHex(bytes.fromhex(transaction.sender[2:]))
    return MinedTransaction(HashHex(transaction.hash), sender, Quantity(transaction.nonce))


def swap(
    trader: str = "carol", nonce: int = 0, data: bytes = b"\x01\x02\x03\x04", to: Address = ROUTER
) -> SignedTransaction:
    return signed(data, to, trader, nonce)


def test_a_transaction_is_told_once_with_its_time() -> None:
    told, transaction = Told(), swap()
    told.announce(transaction)
    told.announce(transaction)
    (event,) = told.take()
    assert isinstance(event, PendingTransactionSeen)
    assert event.transaction.raw == transaction.raw
    assert (event.received_at, event.account_nonce) == (1, None)
    assert told.mempool.counts == {"announced": 2, "read": 1, "repeated": 1}


def test_what_goes_elsewhere_is_counted_only() -> None:
    told = Told()
    told.announce(swap(to=Address(b"\x06" * 20)))
    told.mempool.announced(b'{"hash":"0x1","to":null}')
    assert told.take() == []
    assert told.mempool.counts == {"announced": 2}


def test_of_feeds_only_those_are_told_that_a_lender_watches_now() -> None:
    told = Told()
    former, present, of_another = (Address(bytes([number]) * 20) for number in (6, 7, 8))
    for lender, feed in (("morpho", former), ("aave", of_another), ("morpho", present)):
        told.mempool.watch(lender, [address_to_hex(feed)])
    for nonce, to in enumerate((present, of_another, ROUTER, former)):
        told.announce(swap(nonce=nonce, to=to))
    assert told.mempool.counts == {"announced": 4, "read": 3}


def test_calls_of_contracts_that_we_do_not_read_are_told_where_they_are_wanted() -> None:
    told, call = Told(is_for_all=True), swap(to=Address(b"\x06" * 20))
    told.announce(call)
    told.announce(swap(nonce=1, data=b"\x01\x02\x03", to=Address(b"\x06" * 20)))
    told.mempool.announced(b'{"hash":"0x1","to":null,"input":"0x6001600155"}')
    assert [event.transaction.hash for event in told.take()] == [call.hash]  # type: ignore[union-attr]
    assert told.mempool.counts == {"announced": 3, "others": 1}
    assert told.mempool.sender_of(orjson.dumps(to_rpc(swap("dave", to=Address(b"\x06" * 20))))) is not None


@pytest.mark.parametrize("is_for_all", [False, True])
def test_a_plain_transfer_to_oneself_cancels_what_waits_with_its_nonce(is_for_all: bool) -> None:
    told, victim = Told(is_for_all=is_for_all), swap(nonce=4)
    oneself = Address(bytes.fromhex(victim.sender[2:]))
    told.announce(victim)
    told.announce(swap(nonce=5, data=b"", to=oneself))
    told.announce(swap("dave", nonce=4, data=b"", to=oneself))
    told.announce(victim)
    assert len(told.take()) == 1, "other nonces and other senders cancel nothing"
    for _ in range(2):
        told.announce(swap(nonce=4, data=b"", to=oneself))
    assert told.take() == [PendingGone(Hash32(victim.hash), "replaced")]
    assert told.mempool.counts["cancelled"] == 1


def test_nobody_cancels_anothers_transaction_by_saying_that_it_is_theirs() -> None:
    told, victim = Told(), swap(nonce=4)
    told.announce(victim)
    told.take()
    forged = {**to_rpc(swap("dave", nonce=4, data=b"")), "from": victim.sender, "to": "0x" + "07" * 20}
    told.mempool.announced(orjson.dumps(forged))
    of_dave = to_rpc(swap("dave", nonce=4, to=Address(b"\x07" * 20)))
    told.mempool.announced(orjson.dumps({**of_dave, "from": victim.sender}))
    told.mempool.announced(b'{"hash":"0x1","from":"0x1","nonce":"none"}')
    assert told.take() == []
    assert told.mempool.counts["malformed"] == 2


def test_transactions_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.mempool.MAX_WAITING", 1)
    told = Told()
    told.announce(swap("carol"))
    told.announce(swap("dave"))
    told.announce(swap("carol", data=b"\x01\x02\x03\x05"))
    assert told.mempool.counts["waiting_forgotten"] == 2
    assert not any(isinstance(event, PendingGone) for event in told.take())


def transfer(trader: str = "carol", nonce: int = 0) -> SignedTransaction:
    """Ether for somebody, without call data."""
    return swap(trader, nonce, b"", Address(b"\x08" * 20))


@pytest.mark.parametrize("is_for_all", [False, True])
def test_what_is_not_told_by_itself_is_told_before_a_swap_that_stands_behind_it(is_for_all: bool) -> None:
    told, first, second, victim = Told(is_for_all=is_for_all), transfer(nonce=4), transfer(nonce=5), swap(nonce=6)
    told.mempool.learned(victim.sender, 4)
    told.announce(second)
    told.announce(first)
    assert told.take() == []
    told.announce(victim)
    events = told.take()
    assert [event.transaction.raw for event in events] == [first.raw, second.raw, victim.raw]  # type: ignore[union-attr]
    assert [event.account_nonce for event in events] == [4, 4, 4]  # type: ignore[union-attr]
    assert told.mempool.counts["gaps_filled"] == 2
    told.mine(9, swap(nonce=4))
    assert told.take() == [PendingGone(Hash32(first.hash), "its nonce was used by another")]


def test_what_comes_after_the_swap_that_stands_behind_it_is_told_at_once() -> None:
    told, gap, victim = Told(), transfer(nonce=4), swap(nonce=5)
    told.mempool.learned(victim.sender, 4)
    told.announce(victim)
    told.take()
    told.announce(gap)
    told.announce(gap)
    assert [event.transaction.raw for event in told.take()] == [gap.raw]  # type: ignore[union-attr]
    assert told.mempool.counts["gaps_filled"] == 1


def test_where_the_next_nonce_is_not_known_what_was_held_without_a_gap_says_it() -> None:
    told, victim = Told(), swap(nonce=6)
    for nonce in (2, 4, 5):
        told.announce(transfer(nonce=nonce))
    told.announce(victim)
    events = [event for event in told.take() if isinstance(event, PendingTransactionSeen)]
    assert [(event.transaction.nonce, event.account_nonce) for event in events] == [(4, 4), (5, 4), (6, 4)]


def test_what_cancels_one_fills_the_place_of_it_before_the_next() -> None:
    told, gone, victim = Told(), swap(nonce=4), swap(nonce=5)
    told.mempool.learned(victim.sender, 4)
    told.announce(gone)
    told.announce(victim)
    told.take()
    told.announce(transfer(nonce=4))
    first, second = told.take()
    assert first == PendingGone(Hash32(gone.hash), "replaced")
    assert isinstance(second, PendingTransactionSeen)
    assert (second.transaction.nonce, second.transaction.data) == (4, b"")


def test_of_nonces_that_are_used_up_or_far_away_nothing_is_told() -> None:
    told, victim = Told(), swap(nonce=20)
    told.mempool.learned(victim.sender, 5)
    for nonce in (3, 4, 11, 21):
        told.announce(transfer(nonce=nonce))
    told.announce(transfer("dave", nonce=12))
    told.announce(victim)
    assert [event.transaction.raw for event in told.take()] == [victim.raw]  # type: ignore[union-attr]
    told.announce(transfer(nonce=11))
    assert told.take() == []


def test_nobody_fills_anothers_gap_by_saying_that_it_is_theirs() -> None:
    told, victim = Told(), swap(nonce=5)
    told.mempool.learned(victim.sender, 4)
    forged = {**to_rpc(transfer("dave", nonce=4)), "from": victim.sender}
    told.mempool.announced(orjson.dumps(forged))
    told.announce(victim)
    assert [event.transaction.raw for event in told.take()] == [victim.raw]  # type: ignore[union-attr]
    assert told.mempool.counts["malformed"] == 1


@pytest.mark.parametrize("chaff", [b'"\xff"', b"[" * 1_100 + b"]" * 1_100, b'"\\ud800"'])
@pytest.mark.parametrize("is_victim_first", [True, False])
def test_what_was_held_and_turns_out_malformed_is_counted_and_fills_nothing(
    chaff: bytes, is_victim_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.mempool.LONGEST_HELD", 8_192)
    told, gap, victim = Told(), transfer(nonce=4), swap(nonce=5)
    told.mempool.learned(victim.sender, 4)
    if is_victim_first:
        told.announce(victim)
    told.mempool.announced(orjson.dumps(to_rpc(gap))[:-1] + b',"accessList":' + chaff + b"}")
    if not is_victim_first:
        told.announce(victim)
    assert [event.transaction.raw for event in told.take()] == [victim.raw]  # type: ignore[union-attr]
    assert told.mempool.counts["malformed"] == 1


def test_what_comes_after_the_swap_while_the_nonce_is_not_known_waits_for_the_next_that_is_told() -> None:
    told, gap, victim = Told(), transfer(nonce=4), swap(nonce=5)
    told.announce(victim)
    told.take()
    told.announce(gap)
    told.mempool.learned(victim.sender, 4)
    assert told.take() == []
    told.announce(swap(nonce=6))
    events = [event for event in told.take() if isinstance(event, PendingTransactionSeen)]
    assert [(event.transaction.nonce, event.account_nonce) for event in events] == [(4, 4), (6, 4)]


def test_what_is_kept_to_fill_gaps_is_bounded_and_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.mempool.MAX_HELD", 2)
    told, victim = Told(), swap(nonce=2)
    told.mempool.learned(victim.sender, 0)
    told.announce(transfer(nonce=0))
    told.announce(transfer(nonce=1))
    told.announce(transfer("dave", nonce=7))
    assert told.mempool.counts["held_forgotten"] == 1
    told.mempool.announced(orjson.dumps({**to_rpc(transfer("erin", nonce=1)), "chaff": "x" * 3_000}))
    assert told.mempool.counts["held_forgotten"] == 1, "what is long is not kept"
    told.mine(1)
    told.mine(4)
    told.mempool.learned(victim.sender, 0)
    told.announce(victim)
    assert [event.transaction.raw for event in told.take()] == [victim.raw]  # type: ignore[union-attr]


@pytest.mark.parametrize("body", [b"", b"null", b"\xff", b"[" * 3000, b'{"to":1}'])
def test_garbage_is_counted(body: bytes) -> None:
    told = Told()
    told.mempool.announced(body)
    assert told.mempool.counts["malformed"] == 1


def test_a_body_that_does_not_hash_to_its_hash_is_counted() -> None:
    told = Told()
    told.mempool.announced(orjson.dumps({**to_rpc(swap()), "value": "0x5"}))
    assert told.take() == []
    assert told.mempool.counts["malformed"] == 1


def test_a_senders_nonce_is_asked_for_once_and_then_told() -> None:
    told, transaction = Told(), swap(nonce=4)
    told.announce(transaction)
    assert list(told.mempool.unasked) == [transaction.sender]
    told.mempool.learned(transaction.sender, 4)
    assert not told.mempool.unasked
    told.announce(swap(nonce=5))
    assert told.take()[-1] == PendingTransactionSeen(told_transaction(swap(nonce=5)), UnixNanoseconds(2), 4)


def told_transaction(transaction: SignedTransaction) -> SignedTransaction:
    told = Told()
    told.announce(transaction)
    (event,) = told.take()
    assert isinstance(event, PendingTransactionSeen)
    return event.transaction


def test_a_block_moves_nonces_and_tells_what_its_transactions_replaced() -> None:
    told, pending, private = Told(), swap(nonce=4), swap(nonce=4, data=b"\x09\x09\x09\x09")
    other = swap("dave", nonce=1)
    told.announce(pending)
    told.announce(other)
    told.take()
    told.mine(8, private, other)
    assert told.take() == [PendingGone(Hash32(pending.hash), "its nonce was used by another")]
    told.announce(swap(nonce=5))
    (event,) = told.take()
    assert isinstance(event, PendingTransactionSeen)
    assert event.account_nonce == 5


def test_a_replacement_is_told_before_what_replaces_it() -> None:
    told, first, second = Told(), swap(), swap(data=b"\x09\x09\x09\x09")
    told.announce(first)
    told.announce(second)
    _, gone, seen = told.take()
    assert gone == PendingGone(Hash32(first.hash), "replaced")
    assert isinstance(seen, PendingTransactionSeen)


def test_what_no_block_takes_is_forgotten() -> None:
    told, pending = Told(), swap()
    told.mine(8)
    told.announce(pending)
    told.take()
    told.mine(10)
    told.mine(11)
    told.announce(swap(data=b"\x09\x09\x09\x09"))
    assert [type(event) for event in told.take()] == [PendingTransactionSeen]


def test_after_a_reorg_nonces_are_asked_anew_and_transactions_told_anew() -> None:
    told, transaction = Told(), swap()
    told.announce(transaction)
    told.mine(8, transaction)
    told.mempool.retracted(BlockNumber(8))
    told.take()
    told.announce(transaction)
    (event,) = told.take()
    assert isinstance(event, PendingTransactionSeen)
    assert event.account_nonce is None
    assert list(told.mempool.unasked) == [transaction.sender]


def test_everything_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_SEEN", "MAX_NONCES", "MAX_UNASKED"):
        monkeypatch.setattr(f"node.engine.mempool.{name}", 2)
    told = Told()
    for trader in ("carol", "dave", "erin", "frank"):
        told.announce(swap(trader))
    assert len(told.mempool.unasked) == 2
    assert told.mempool.counts["seen_forgotten"] == 2
    told.mine(8, swap("carol"), swap("dave"), swap("erin"))
    told.take()
    told.announce(swap("carol", nonce=1))
    told.announce(swap("erin", nonce=1))
    assert [event.account_nonce for event in told.take() if isinstance(event, PendingTransactionSeen)] == [None, 1]


def test_what_was_seen_is_remembered_for_some_blocks_and_then_costs_no_memory() -> None:
    told, early, late = Told(), swap("carol"), swap("dave")
    told.mine(7)
    told.announce(early)
    told.mine(8)
    told.announce(late)
    told.mine(7 + SEEN_BLOCKS - 1)
    told.take()
    told.announce(early)
    assert not told.take()
    told.mine(7 + SEEN_BLOCKS)
    assert list(told.mempool._seen) == ["0x" + late.hash.hex()]
    told.announce(early)
    told.announce(late)
    assert [event.transaction.hash for event in told.take() if isinstance(event, PendingTransactionSeen)] == [
        early.hash
    ]


def test_a_sender_whose_nonce_is_not_known_can_be_told_beforehand() -> None:
    told, transaction = Told(), swap()
    body = msgspec.Raw(orjson.dumps(to_rpc(transaction)))
    assert told.mempool.sender_of(body) == transaction.sender
    told.mempool.learned(transaction.sender, 0)
    assert told.mempool.sender_of(body) is None
    assert told.mempool.sender_of(b'{"from":"0x1","to":"0x2"}') is None
    assert told.mempool.sender_of(b"nonsense") is None
