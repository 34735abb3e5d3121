"""The signature header of requests to a builder."""

from __future__ import annotations

import pytest

from devnet.accounts import account
from devnet.relay.flashbots_signature import SignatureFault, SignatureRefused, sign_body, verify_body

BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[]}'
ALICE = account("alice")
# eth_account 0.11.3, as the flashbots package calls it: encode_defunct(text=Web3.keccak(text=body).hex()), key of alice
FROM_ETH_ACCOUNT = (
    "0xe79B85318F3C3709f9d968f1Dd6F41db74014279:"
    "0x16a8335e550bee97f398ea268674298349f55e8a48fd697fe6cc8b9e8158f59a"
    "2dba7e4709642e7339eba39362c72f6d44fcc30507b5f56ffa4780793fd03deb1b"
)


def fault_of(header: str | None, body: bytes = BODY) -> SignatureFault:
    with pytest.raises(SignatureRefused) as caught:
        verify_body(header, body)
    return caught.value.reason


def test_a_signed_body_tells_its_signer() -> None:
    assert verify_body(sign_body(BODY, ALICE.key), BODY) == ALICE.address


def test_a_signature_made_by_eth_account_is_ours_to_the_byte() -> None:
    assert sign_body(BODY, ALICE.key) == FROM_ETH_ACCOUNT
    assert verify_body(FROM_ETH_ACCOUNT, BODY) == ALICE.address


def test_recovery_ids_from_zero_are_taken_as_well() -> None:
    header = sign_body(BODY, ALICE.key)
    parity = int(header[-2:], 16) - 27
    assert verify_body(f"{header[:-2]}{parity:02x}", BODY) == ALICE.address


@pytest.mark.parametrize("header", [None, ""])
def test_a_missing_header_is_named(header: str | None) -> None:
    assert fault_of(header) is SignatureFault.MISSING


@pytest.mark.parametrize(
    "header",
    [
        "0x",
        "alice:0x00",
        ALICE.address,
        f"{ALICE.address}:0x1234",
        sign_body(BODY, ALICE.key) + "00",
        sign_body(BODY, ALICE.key) + "\n",
        sign_body(BODY, ALICE.key).replace(":", ";"),
    ],
)
def test_a_header_of_another_form_is_malformed(header: str) -> None:
    assert fault_of(header) is SignatureFault.MALFORMED


def test_a_signature_that_no_key_can_have_made_is_refused() -> None:
    assert fault_of(f"{ALICE.address}:0x{'00' * 64}1b") is SignatureFault.UNRECOVERABLE


def test_a_recovery_id_beyond_all_is_refused() -> None:
    assert fault_of(sign_body(BODY, ALICE.key)[:-2] + "ff") is SignatureFault.UNRECOVERABLE


def test_a_signature_by_another_key_is_refused() -> None:
    signature = sign_body(BODY, account("bob").key).partition(":")[2]
    assert fault_of(f"{ALICE.address}:{signature}") is SignatureFault.OTHER_SIGNER


def test_a_signature_of_another_body_is_refused() -> None:
    assert fault_of(sign_body(BODY, ALICE.key), BODY + b" ") is SignatureFault.OTHER_SIGNER
