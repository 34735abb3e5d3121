"""Sealed orders: one leader opens them, nobody else, and only for the block they are for."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol import codec, sealing
from protocol.errors import BadSeal, InvalidField, RemoteProtocolError
from protocol.messages import SealedOrder
from protocol.units import BlockNumber, Hash32
from tests.protocol_factories import DEVNET, DOMAINS, handover, sealing_key, sealing_secret

TARGET = BlockNumber(21_000_000)


def sealed() -> SealedOrder:
    return sealing.seal(DEVNET, handover(), sealing_key(), sealing_secret("ephemeral"))


@given(st.binary(min_size=1, max_size=12 * 1024), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_opens_to_the_same_order(route: bytes, ephemeral: bytes) -> None:
    box = sealing.seal(DEVNET, handover(route), sealing_key(), sealing.SealingSecret(ephemeral))
    assert sealing.open_sealed(DEVNET, box, sealing_secret()) == handover(route)


def test_a_box_of_another_implementation_opens() -> None:
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = b"hftnode sealed order" + DEVNET.separator + TARGET.to_bytes(32, "big")
    public = X25519PublicKey.from_public_bytes(sealing_secret().public_key)
    made = suite.encrypt(codec.encode_handover(handover()), public, info)
    box = SealedOrder(target_block=TARGET, ephemeral_key=Hash32(made[:32]), box=made[32:])
    assert sealing.open_sealed(DEVNET, box, sealing_secret()) == handover()


def test_nobody_else_opens_it() -> None:
    with pytest.raises(BadSeal, match="does not open"):
        sealing.open_sealed(DEVNET, sealed(), sealing_secret("eve"))


def test_it_does_not_open_on_another_chain_or_for_another_block() -> None:
    with pytest.raises(BadSeal):
        sealing.open_sealed(DOMAINS["mainnet"], sealed(), sealing_secret())
    with pytest.raises(BadSeal):
        sealing.open_sealed(DEVNET, replace(sealed(), target_block=BlockNumber(TARGET + 1)), sealing_secret())


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(position: int, change: int) -> None:
    good = sealed()
    whole = bytearray(good.ephemeral_key + good.box)
    whole[position % len(whole)] ^= change
    changed = replace(good, ephemeral_key=Hash32(bytes(whole[:32])), box=bytes(whole[32:]))
    with pytest.raises(BadSeal):
        sealing.open_sealed(DEVNET, changed, sealing_secret())


def test_an_order_for_another_block_inside_is_refused() -> None:
    secret = sealing_secret()
    other = BlockNumber(TARGET + 1)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = b"hftnode sealed order" + DEVNET.separator + other.to_bytes(32, "big")
    made = suite.encrypt(codec.encode_handover(handover()), X25519PublicKey.from_public_bytes(secret.public_key), info)
    box = SealedOrder(target_block=other, ephemeral_key=Hash32(made[:32]), box=made[32:])
    with pytest.raises(BadSeal, match="another block"):
        sealing.open_sealed(DEVNET, box, secret)


def test_bytes_inside_that_are_no_order_are_the_senders_fault() -> None:
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = b"hftnode sealed order" + DEVNET.separator + TARGET.to_bytes(32, "big")
    made = suite.encrypt(b"garbage", X25519PublicKey.from_public_bytes(sealing_secret().public_key), info)
    box = SealedOrder(target_block=TARGET, ephemeral_key=Hash32(made[:32]), box=made[32:])
    with pytest.raises(RemoteProtocolError):
        sealing.open_sealed(DEVNET, box, sealing_secret())


def test_a_box_too_short_for_its_tag_is_refused() -> None:
    with pytest.raises(BadSeal):
        sealing.open_sealed(DEVNET, replace(sealed(), box=b"short"), sealing_secret())


@pytest.mark.parametrize("block", [20_995_199, 21_002_400])
def test_a_key_of_other_blocks_is_not_used(block: int) -> None:
    key = sealing_key(from_block=BlockNumber(block), until_block=BlockNumber(block))
    with pytest.raises(InvalidField, match="recipient's sealing key"):
        sealing.seal(DEVNET, handover(), key, sealing_secret("ephemeral"))


def test_a_public_key_of_low_order_is_refused_by_both_sides() -> None:
    low = Hash32(b"\1" + bytes(31))
    with pytest.raises(InvalidField, match="low order"):
        sealing.seal(DEVNET, handover(), sealing_key(public_key=low), sealing_secret("ephemeral"))
    with pytest.raises(BadSeal):
        sealing.open_sealed(DEVNET, replace(sealed(), ephemeral_key=low), sealing_secret())


def test_each_epoch_has_another_secret() -> None:
    keys = {sealing.SealingSecret.of_epoch(b"\7" * 32, BlockNumber(start)).public_key for start in (0, 30, 60)}
    assert len(keys) == 3
    assert sealing.SealingSecret.of_epoch(b"\7" * 32, BlockNumber(30)).public_key in keys


def test_a_secret_never_shows() -> None:
    secret = sealing_secret()
    assert repr(secret) == f"SealingSecret(public_key={secret.public_key.hex()})"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    for wrong in (b"", bytes(31), bytes(33), "text"):
        with pytest.raises(InvalidField, match="not 32 bytes"):
            sealing.SealingSecret(wrong)  # type: ignore[arg-type]
