"""Keys, signatures and addresses: what is refused, and that no error tells a secret."""

from __future__ import annotations

import pickle

import pytest

from protocol.errors import BadSignature, FieldOutOfRange, InvalidField
from protocol.ethereum.create2 import create2_address, create_address
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import (
    SECP256K1_N,
    Signature,
    SigningKey,
    address_bytes,
    checksum_address,
    icap_address,
    recover_address,
)

DIGEST = keccak256(b"digest")
ALICE = SigningKey(bytes(31) + b"\x01")


def test_the_address_of_a_known_key_is_the_known_one_in_every_form() -> None:
    assert checksum_address(ALICE.address) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert icap_address(ALICE.address) == "XE21ERF4STLB4CJC4UJJTZHGOOGJLHSGKIN"
    assert icap_address("0x" + "00" * 20) == "XE50" + "0" * 30  # 98 - 331400 mod 97; thirty digits


@pytest.mark.parametrize(
    "secret",
    [b"", b"\x11" * 31, b"\x11" * 33, bytes(32), SECP256K1_N.to_bytes(32, "big"), b"\xff" * 32, "11" * 32, 5],
    ids=["empty", "short", "long", "zero", "n", "above n", "text", "number"],
)
def test_a_bad_secret_is_refused_without_being_told(secret: object) -> None:
    with pytest.raises(InvalidField) as refused:
        SigningKey(secret)  # type: ignore[arg-type]
    assert "1111" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_key_shows_its_address_and_never_its_secret() -> None:
    key = SigningKey(b"\x5a" * 32)
    assert repr(key) == f"SigningKey({key.address})"
    assert "5a5a" not in repr(key) + str(key)
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(key)


def test_a_signature_recovers_to_its_signer_and_travels_as_65_bytes() -> None:
    signature = ALICE.sign_digest(DIGEST)
    assert recover_address(DIGEST, signature) == ALICE.address
    assert Signature.from_bytes(signature.to_bytes()) == signature
    assert signature.is_low_s


def test_a_digest_of_another_length_is_neither_signed_nor_recovered() -> None:
    with pytest.raises(InvalidField):
        ALICE.sign_digest(b"short")
    with pytest.raises(InvalidField):
        recover_address(b"short", ALICE.sign_digest(DIGEST))


def test_malformed_signatures_are_refused() -> None:
    good = ALICE.sign_digest(DIGEST)
    raw = good.to_bytes()
    high = Signature(good.r, SECP256K1_N - good.s, 1 - good.y_parity)
    for bad in (raw[:-1], raw + b"\0", raw[:64] + b"\x01", bytes(32) + raw[32:], high.to_bytes()):
        with pytest.raises(BadSignature):
            Signature.from_bytes(bad)
    assert not high.is_low_s
    assert recover_address(DIGEST, high) == ALICE.address  # so whoever must not take it checks first
    with pytest.raises(BadSignature, match="parity"):
        recover_address(DIGEST, good._replace(y_parity=2))
    with pytest.raises(BadSignature, match="out of range"):
        recover_address(DIGEST, good._replace(s=SECP256K1_N))


def test_a_signature_that_no_key_can_have_made_is_refused() -> None:
    no_point = Signature(5, 1, 0)  # no curve point has x = 5
    with pytest.raises(BadSignature, match="no key"):
        recover_address(DIGEST, no_point)


@pytest.mark.parametrize("text", ["", "0x", "ab" * 20, "0x" + "ab" * 19, "0x" + "ab" * 21, "0x" + "gg" * 20, None, 5])
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(FieldOutOfRange):
        address_bytes(text)  # type: ignore[arg-type]
    with pytest.raises(FieldOutOfRange):
        checksum_address(text)  # type: ignore[arg-type]


def test_contract_addresses_follow_the_standards_examples() -> None:
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert create_address(sender, 0) == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert create_address(sender, 1) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    empty = keccak256(b"")  # EIP-1014's last and first example
    assert create2_address("0x" + "00" * 20, bytes(32), empty) == "0xe33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"
    assert (
        create2_address("0x" + "00" * 20, bytes(32), keccak256(b"\0")) == "0x4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"
    )
    for salt, init_code_hash in ((b"", empty), (bytes(32), b"")):
        with pytest.raises(InvalidField):
            create2_address(sender, salt, init_code_hash)
