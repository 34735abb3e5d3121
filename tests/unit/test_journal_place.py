"""Each key has a journal of its own: one that was rotated in signs after a while, and its predecessor's is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.engine.anti_slashing import AntiSlashingStore, SlashableRefused
from node.engine.signing_journal import JournalForeign, Owner, place_of
from protocol.slashing import HORIZON
from protocol.units import BlockNumber, LegKey
from tests.protocol_factories import ALICE, BOB, DEVNET, DOMAINS, accept, hash_of
from tests.slashing_cases import HEAD

FORMER = Owner(DEVNET.separator, BOB, hash_of("this machine"))
NEW = FORMER._replace(hot_key=ALICE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signed.journal"


def opened(path: Path, owner: Owner, head: int = HEAD) -> AntiSlashingStore:
    return AntiSlashingStore(place_of(path, owner), owner, BlockNumber(head))


def sign(store: AntiSlashingStore, block: int) -> None:
    store.allow(
        accept(order_hash=hash_of("order"), primary_key=LegKey(hash_of("leg")), target_block=BlockNumber(block))
    )


def test_the_first_key_of_a_folder_has_the_journal_that_was_always_there(path: Path) -> None:
    assert place_of(path, FORMER) == path
    with opened(path, FORMER):
        pass
    assert place_of(path, FORMER) == path


def test_a_key_that_was_rotated_in_signs_once_what_it_may_have_signed_elsewhere_is_over(path: Path) -> None:
    with opened(path, FORMER):
        pass
    with opened(path, NEW) as store:
        assert store.doubt == "missing"
        with pytest.raises(SlashableRefused):
            sign(store, HEAD + 1)
        store.follow(BlockNumber(HEAD + HORIZON + 1))
        sign(store, HEAD + HORIZON + 2)
    with opened(path, NEW, HEAD + HORIZON + 1) as again:
        assert again.doubt == ""


def test_the_former_keys_journal_is_kept_and_found_again(path: Path) -> None:
    with opened(path, FORMER):
        pass
    kept = path.read_bytes()
    with opened(path, NEW):
        assert path.read_bytes() == kept
    assert place_of(path, FORMER) == path


def test_the_same_key_in_another_network_has_another_journal(path: Path) -> None:
    elsewhere = FORMER._replace(domain_separator=next(one.separator for one in DOMAINS.values() if one != DEVNET))
    with opened(path, FORMER):
        pass
    places = {place_of(path, owner) for owner in (FORMER, NEW, elsewhere)}
    assert len(places) == 3
    assert {place.parent for place in places} == {path.parent}


@pytest.mark.parametrize("rubbish", [b"something else altogether" * 20, b"", b"hftnode signed 1" + bytes(200)])
def test_a_file_that_is_not_known_to_be_another_keys_is_not_passed_over(path: Path, rubbish: bytes) -> None:
    path.write_bytes(rubbish)
    assert place_of(path, FORMER) == path
    if rubbish.startswith(b"something"):
        with pytest.raises(JournalForeign, match="no journal"):
            opened(path, FORMER)
