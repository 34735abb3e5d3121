"""What each fork makes of a transaction."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import InvalidField
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.transactions import (
    InvalidTransaction,
    Refusal,
    check_transaction,
    decode_transaction,
    floor_gas,
    intrinsic_gas,
)
from tests.ethereum_samples import BLOB_HASH, fields_of, signed

CHAIN = 31337


def refused(kind: int, fork: Fork, **changes: Any) -> Refusal:
    with pytest.raises(InvalidTransaction) as error:
        check_transaction(signed(kind, **changes), ChainRules(fork, CHAIN))
    return error.value.reason


@pytest.mark.parametrize(
    ("name", "fork"),
    [
        ("Frontier", Fork.FRONTIER),
        ("EIP150", Fork.TANGERINE_WHISTLE),
        ("EIP158", Fork.SPURIOUS_DRAGON),
        ("ConstantinopleFix", Fork.PETERSBURG),
        ("Merge", Fork.PARIS),
        ("Spurious_Dragon", Fork.SPURIOUS_DRAGON),
        ("OSAKA", Fork.OSAKA),
    ],
)
def test_forks_are_known_by_the_names_in_use(name: str, fork: Fork) -> None:
    assert Fork.named(name) is fork


def test_an_unknown_fork_is_refused() -> None:
    with pytest.raises(InvalidField, match="Atlantis"):
        Fork.named("Atlantis")


@pytest.mark.parametrize(("kind", "fork"), [(1, Fork.BERLIN), (2, Fork.LONDON), (3, Fork.CANCUN), (4, Fork.PRAGUE)])
def test_a_type_is_taken_from_its_fork_on(kind: int, fork: Fork) -> None:
    check_transaction(signed(kind), ChainRules(fork, CHAIN))
    check_transaction(signed(kind), ChainRules(Fork.OSAKA, CHAIN))
    assert refused(kind, Fork(fork - 1)) is Refusal.TYPE_NOT_SUPPORTED


def test_a_fork_that_does_not_know_the_type_does_not_look_at_its_numbers() -> None:
    raw = signed(2).raw.replace(bytes.fromhex("8506fc23ac00"), bytes.fromhex("8506fc23ac00"))
    huge = bytes.fromhex("a1" + "01" * 33)
    body = raw[3:].replace(bytes.fromhex("8506fc23ac00"), huge)
    broken = b"\x02\xf9" + len(body).to_bytes(2, "big") + body
    for fork, reason in ((Fork.BERLIN, Refusal.TYPE_NOT_SUPPORTED), (Fork.LONDON, Refusal.GASPRICE_OVERFLOW)):
        with pytest.raises(InvalidTransaction) as error:
            decode_transaction(broken, ChainRules(fork, CHAIN))
        assert error.value.reason is reason


@pytest.mark.parametrize(("kind", "before"), [(3, Fork.SHANGHAI), (4, Fork.CANCUN)])
def test_a_fork_that_does_not_know_the_type_does_not_count_its_items(kind: int, before: Fork) -> None:
    dynamic_fee_body_under_another_type = bytes((kind,)) + signed(2).raw[1:]
    for fork, reason in ((before, Refusal.TYPE_NOT_SUPPORTED), (Fork.OSAKA, Refusal.RLP_TOO_FEW_ELEMENTS)):
        with pytest.raises(InvalidTransaction) as error:
            decode_transaction(dynamic_fee_body_under_another_type, ChainRules(fork, CHAIN))
        assert error.value.reason is reason


def test_replay_protection_counts_from_spurious_dragon_on() -> None:
    check_transaction(signed(0), ChainRules(Fork.SPURIOUS_DRAGON, CHAIN))
    assert refused(0, Fork.HOMESTEAD) is Refusal.INVALID_SIGNATURE_VRS
    assert refused(0, Fork.SPURIOUS_DRAGON, chain_id=1) is Refusal.INVALID_CHAINID
    assert refused(2, Fork.LONDON, chain_id=1) is Refusal.INVALID_CHAINID
    for fork in (Fork.FRONTIER, Fork.OSAKA):
        check_transaction(signed(0, chain_id=None), ChainRules(fork, CHAIN))


@pytest.mark.parametrize(
    ("v", "fork", "reason"),
    [
        (0, Fork.OSAKA, Refusal.INVALID_SIGNATURE_VRS),
        (2, Fork.OSAKA, Refusal.INVALID_CHAINID),
        (2, Fork.HOMESTEAD, Refusal.INVALID_SIGNATURE_VRS),
        (34, Fork.OSAKA, Refusal.INVALID_CHAINID),
    ],
)
def test_a_v_that_means_nothing_is_refused(v: int, fork: Fork, reason: Refusal) -> None:
    raw = signed(0, chain_id=None).raw
    at = len(raw) - 67  # before r and s of 33 bytes each
    assert raw[at] in (27, 28)
    with pytest.raises(InvalidTransaction) as error:
        decode_transaction(raw[:at] + (bytes((v,)) if v else b"\x80") + raw[at + 1 :], ChainRules(fork, CHAIN))
    assert error.value.reason is reason


@pytest.mark.parametrize(
    ("kind", "changes", "fork", "reason"),
    [
        (2, {"nonce": 2**64 - 1}, Fork.LONDON, Refusal.NONCE_TOO_BIG),
        (2, {"max_priority_fee_per_gas": 10**12}, Fork.LONDON, Refusal.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS),
        (2, {"max_fee_per_gas": 2**255}, Fork.LONDON, Refusal.GASLIMIT_PRICE_PRODUCT_OVERFLOW),
        (2, {"gas_limit": 21_000}, Fork.LONDON, Refusal.INTRINSIC_GAS_TOO_LOW),
        (2, {"gas_limit": 2**24 + 1}, Fork.OSAKA, Refusal.GAS_LIMIT_EXCEEDS_MAXIMUM),
        (
            2,
            {"access_list": (), "data": b"\x01" * 1000, "gas_limit": 40_000},
            Fork.PRAGUE,
            Refusal.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST,
        ),
        (
            2,
            {"to": None, "data": bytes(49_153), "gas_limit": 10**7},
            Fork.SHANGHAI,
            Refusal.INITCODE_SIZE_EXCEEDED,
        ),
        (3, {"blob_versioned_hashes": ()}, Fork.CANCUN, Refusal.TYPE_3_TX_ZERO_BLOBS),
        (3, {"blob_versioned_hashes": (BLOB_HASH,) * 7}, Fork.CANCUN, Refusal.TYPE_3_TX_BLOB_COUNT_EXCEEDED),
        (3, {"blob_versioned_hashes": (BLOB_HASH,) * 7}, Fork.OSAKA, Refusal.TYPE_3_TX_BLOB_COUNT_EXCEEDED),
        (3, {"blob_versioned_hashes": (bytes(32),)}, Fork.CANCUN, Refusal.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH),
        (4, {"authorization_list": ()}, Fork.PRAGUE, Refusal.TYPE_4_EMPTY_AUTHORIZATION_LIST),
    ],
)
def test_a_transaction_that_no_state_could_make_valid_is_refused(
    kind: int, changes: dict[str, Any], fork: Fork, reason: Refusal
) -> None:
    assert refused(kind, fork, **changes) is reason


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": 2**64 - 1},
        {"max_priority_fee_per_gas": 10**12},
        {"to": None, "data": bytes(49_153)},
    ],
)
def test_too_little_gas_is_told_before_what_else_is_wrong(changes: dict[str, Any]) -> None:
    """As the execution specification and geth do: the intrinsic gas comes first of all rules."""
    assert refused(2, Fork.OSAKA, gas_limit=20_000, **changes) is Refusal.INTRINSIC_GAS_TOO_LOW


def test_the_limits_themselves_are_still_taken() -> None:
    for kind, fork, changes in (
        (2, Fork.LONDON, {"nonce": 2**64 - 2}),
        (2, Fork.OSAKA, {"gas_limit": 2**24}),
        (2, Fork.PRAGUE, {"gas_limit": 2**24 + 1}),
        (2, Fork.SHANGHAI, {"to": None, "data": bytes(49_152), "gas_limit": 10**6}),
        (2, Fork.PARIS, {"to": None, "data": bytes(49_153), "gas_limit": 10**6}),
        (3, Fork.PRAGUE, {"blob_versioned_hashes": (BLOB_HASH,) * 9}),
        (2, Fork.CANCUN, {"access_list": (), "data": b"\x01" * 1000, "gas_limit": 40_000}),
    ):
        check_transaction(signed(kind, **changes), ChainRules(fork, CHAIN))


@pytest.mark.parametrize("kind", [3, 4])
def test_a_blob_or_set_code_transaction_that_creates_a_contract_is_refused(kind: int) -> None:
    from protocol.ethereum.transactions import encode_signed

    fields = fields_of(kind, to=None)
    raw = encode_signed(fields, signed(kind).signature)
    with pytest.raises(InvalidTransaction) as error:
        decode_transaction(raw, ChainRules(Fork.OSAKA, CHAIN))
    assert error.value.reason.value.endswith("CONTRACT_CREATION")


def test_intrinsic_gas_counts_data_creation_access_lists_and_authorizations() -> None:
    data = fields_of(0, data=b"\x00\x01\x01")
    assert intrinsic_gas(data, Fork.HOMESTEAD) == 21_000 + 4 + 2 * 68
    assert intrinsic_gas(data, Fork.ISTANBUL) == 21_000 + 4 + 2 * 16
    creation = fields_of(0, to=None, data=bytes(33))
    assert intrinsic_gas(creation, Fork.FRONTIER) == 21_000 + 33 * 4
    assert intrinsic_gas(creation, Fork.HOMESTEAD) == 53_000 + 33 * 4
    assert intrinsic_gas(creation, Fork.SHANGHAI) == 53_000 + 33 * 4 + 2 * 2
    assert intrinsic_gas(fields_of(1, data=b""), Fork.BERLIN) == 21_000 + 2 * 2_400 + 2 * 1_900
    assert intrinsic_gas(fields_of(4, data=b"", access_list=()), Fork.PRAGUE) == 21_000 + 2 * 25_000
    assert floor_gas(data) == 21_000 + 10 * (1 + 2 * 4)
