"""Anti-slashing rules and evidence: no path leads to two answers, and what proves an offence is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import signing, slashing
from protocol.errors import MalformedMessage, RemoteProtocolError, WrongDomain, WrongVersion
from protocol.evidence import evidence_of
from protocol.interchange import export_history, import_history
from protocol.messages import SignedAccept
from protocol.slashing import HORIZON, Answer, Refusal, SigningHistory, Watch, answer_of, offence_id, proves
from protocol.statements import Accept
from protocol.units import BlockNumber, Hash32, LegKey, UnixSeconds
from tests.protocol_factories import (
    ALICE,
    BOB,
    DEVNET,
    DOMAINS,
    KEYS,
    accept,
    attestation,
    contradiction,
    double_accept,
    hash_of,
)
from tests.slashing_cases import (
    HEAD,
    OK,
    Distrust,
    Forget,
    Import,
    Move,
    Sign,
    Step,
    cases,
    document,
)


def take(history: SigningHistory, step: Step) -> SigningHistory:
    """Do one step with a history in memory; return the one to go on with."""
    match step:
        case Sign(statement, head, expected):
            refusal = history.refusal(statement, BlockNumber(head))
            assert (OK if refusal is None else refusal.name) == expected
            if refusal is None:
                history.add(*answer_of(statement))
        case Distrust(head):
            history.distrust(BlockNumber(head))
        case Forget(head):
            history.forget(BlockNumber(head))
        case Import(text):
            import_history(json.dumps(text), DEVNET, BOB, history)
        case Move():
            moved = SigningHistory()
            import_history(export_history(history, DEVNET, BOB), DEVNET, BOB, moved)
            return moved
        case _:
            pass
    return history


@pytest.mark.parametrize(("name", "steps"), list(cases()), ids=[name for name, _ in cases()])
def test_the_rules_answer_as_written_down(name: str, steps: list[Step]) -> None:
    history = SigningHistory()
    for step in steps:
        history = take(history, step)


def test_there_are_enough_cases_each_with_its_name() -> None:
    names = [name for name, _ in cases()]
    assert len(names) == len(set(names)) >= 60
    committed = json.loads((Path(signing.__file__).parent / "vectors" / "anti_slashing.json").read_text())
    assert [vector["name"] for vector in committed["vectors"]] == names


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sign"), st.integers(0, 3), st.integers(0, 2), st.integers(-2, 140)),
        st.tuples(st.just("lose"), st.integers(0, 30)),
        st.tuples(st.just("forget"), st.just(0)),
        st.tuples(st.just("move"), st.just(0)),
        st.tuples(st.just("advance"), st.integers(0, 80)),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_is_lost_moved_or_forgotten_no_slot_is_answered_twice(steps: list[Any]) -> None:
    head, history = HEAD, SigningHistory()
    signed: dict[tuple[int, bytes], bytes] = {}
    for kind, *numbers in steps:
        if kind == "advance":
            head += numbers[0]
        elif kind == "forget":
            history.forget(BlockNumber(head))
        elif kind == "move":
            history = take(history, Move())
        elif kind == "lose":
            history = SigningHistory()
            history.distrust(BlockNumber(head))
        else:
            key, order, ahead = numbers
            target = BlockNumber(max(1, head + ahead))
            one = accept(order_hash=hash_of(str(order)), primary_key=LegKey(hash_of(str(key))), target_block=target)
            if history.refusal(one, BlockNumber(head)) is None:
                history.add(*answer_of(one))
                assert signed.setdefault((one.target_block, one.primary_key), one.order_hash) == one.order_hash


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slashing, "MAX_SLOTS", 3)
    history = SigningHistory()
    for number in range(3):
        history.add(*answer_of(accept(primary_key=LegKey(hash_of(str(number))), target_block=BlockNumber(HEAD))))
    assert history.refusal(accept(target_block=BlockNumber(HEAD)), BlockNumber(HEAD)) is Refusal.FULL
    assert history.highest == HEAD
    assert SigningHistory().highest == 0


@pytest.mark.parametrize("pair", [double_accept, contradiction])
def test_the_second_answer_is_found_and_proves_the_offence(pair: Callable[[], Any]) -> None:
    first, second = pair()
    watch = Watch(cap=10)
    assert watch.see(BOB, first) is None
    assert watch.see(ALICE, second) is None
    assert watch.see(BOB, first) is None
    evidence = watch.see(BOB, second)
    assert evidence == evidence_of(BOB, first, second)
    now = UnixSeconds(1_790_000_100)
    assert proves(DEVNET, evidence, (ALICE, BOB), now)
    assert not proves(DEVNET, evidence, (ALICE,), now)
    assert not proves(DOMAINS["mainnet"], evidence, (BOB,), now)
    assert not proves(DEVNET, evidence, (BOB,), UnixSeconds(now + 14 * 86_400))
    assert not proves(DEVNET, evidence, (BOB,), UnixSeconds(1))
    assert not proves(DEVNET, evidence, (), now)


def test_the_watch_remembers_only_so_many() -> None:
    watch = Watch(cap=2)
    statements = [
        SignedAccept(accept=accept(target_block=BlockNumber(number)), signature=double_accept()[0].signature)
        for number in range(1, 6)
    ]
    for one in statements:
        watch.see(BOB, one)
    assert (len(watch), watch.evicted) == (2, 3)


def test_the_watch_forgets_what_is_long_past_and_no_more() -> None:
    watch = Watch(cap=10)
    statements = [
        SignedAccept(accept=accept(target_block=BlockNumber(number)), signature=double_accept()[0].signature)
        for number in (7, 8, 8, 9)
    ]
    for one in statements:
        watch.see(BOB, one)
    watch.forget(BlockNumber(8))
    assert len(watch) == 2
    watch.forget(BlockNumber(10))
    assert (len(watch), watch.evicted) == (0, 0)


def test_one_offence_has_one_id() -> None:
    first, second = double_accept()
    third = signing.sign_accept(DEVNET, accept(order_hash=hash_of("third")), KEYS["bob"])
    ids = {offence_id(evidence_of(BOB, a, b)) for a in (first, second, third) for b in (first, second, third) if a != b}
    assert len(ids) == 1
    assert offence_id(evidence_of(ALICE, first, second)) not in ids
    assert offence_id(evidence_of(BOB, *contradiction())) not in ids


def test_an_export_tells_everything_and_is_the_same_after_import() -> None:
    history = SigningHistory()
    history.raise_floor(BlockNumber(5))
    history.add(*answer_of(accept()))
    history.add(*answer_of(attestation()))
    slot, _ = answer_of(attestation(alert_id=hash_of("both")))
    history.add(slot, Answer(None, BlockNumber(HEAD)))
    text = export_history(history, DEVNET, BOB)
    again = SigningHistory()
    import_history(text, DEVNET, BOB, again)
    assert export_history(again, DEVNET, BOB) == text
    assert (again.floor, again.answers) == (5, history.answers)


def _changed(**changes: Any) -> str:
    return json.dumps(document(accepts=[(1, "leg", "order")], attestations=[("a", "b", 0, 1)]) | changes)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", MalformedMessage),
        ("[]", MalformedMessage),
        ("{}", MalformedMessage),
        ("[" * 100_000, MalformedMessage),
        (_changed(floor="-1"), MalformedMessage),
        (_changed(floor="1" * 30), MalformedMessage),
        (_changed(floor=5), MalformedMessage),
        (_changed(more=1), MalformedMessage),
        (_changed(accepts=[{"targetBlock": "1", "primaryKey": "0x", "orderHash": None}]), MalformedMessage),
        (_changed(accepts=[{"targetBlock": "1", "primaryKey": "0x" + "zz" * 32, "orderHash": None}]), MalformedMessage),
        (
            _changed(attestations=[{"alertId": "0x", "blockHash": "0x", "blockNumber": "1", "verdict": 3}]),
            MalformedMessage,
        ),
        (_changed(metadata=document()["metadata"] | {"format": 2}), WrongVersion),
        (_changed(metadata=document()["metadata"] | {"hotKey": "0x" + ALICE.hex()}), WrongDomain),
    ],
)
def test_a_wrong_text_is_refused_and_changes_nothing(text: str, error: type[RemoteProtocolError]) -> None:
    history = SigningHistory()
    with pytest.raises(error):
        import_history(text, DEVNET, BOB, history)
    assert (history.floor, history.answers) == (0, {})


def test_a_history_of_another_chain_is_refused() -> None:
    with pytest.raises(WrongDomain):
        import_history(_changed(), DOMAINS["mainnet"], BOB, SigningHistory())


def test_horizon_and_distrust_meet() -> None:
    history = SigningHistory()
    last = Accept(
        order_hash=hash_of("order"),
        primary_key=LegKey(hash_of("leg")),
        target_block=BlockNumber(HEAD + HORIZON),
        block_number=BlockNumber(HEAD),
        timestamp=UnixSeconds(1),
    )
    assert history.refusal(last, BlockNumber(HEAD)) is None
    history.distrust(BlockNumber(HEAD))
    assert history.floor == last.target_block
    assert answer_of(last)[0].key != Hash32(bytes(32))
