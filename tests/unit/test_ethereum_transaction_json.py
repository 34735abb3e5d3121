"""Transactions as JSON-RPC carries them: there and back, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import FieldOutOfRange, RemoteProtocolError
from protocol.ethereum.transaction_json import Inclusion, to_rpc, transaction_from_rpc
from protocol.ethereum.transactions import InvalidTransaction
from tests.ethereum_samples import ALICE, TARGET, signed


@pytest.mark.parametrize("kind", range(5))
def test_a_pending_transaction_comes_back_as_it_was(kind: int) -> None:
    transaction = signed(kind)
    body = to_rpc(transaction)
    assert transaction_from_rpc(body) == transaction
    assert body["from"] == ALICE.address
    assert body["gasPrice"] == hex(transaction.max_fee_per_gas)
    assert body["blockHash"] is body["blockNumber"] is body["transactionIndex"] is None
    assert ("yParity" in body) is bool(kind)


def test_a_legacy_body_of_an_old_node_has_neither_type_nor_chain_nor_input() -> None:
    transaction = signed(0, chain_id=None, to=None)
    body = to_rpc(transaction)
    assert "chainId" not in body
    body["data"] = body.pop("input")
    del body["type"], body["from"]
    assert transaction_from_rpc(body) == transaction


def test_a_typed_body_without_parity_is_read_by_its_v() -> None:
    body = to_rpc(signed(2))
    del body["yParity"]
    assert transaction_from_rpc(body) == signed(2)


def test_a_mined_transaction_tells_where_and_what_it_paid() -> None:
    transaction = signed(2, max_fee_per_gas=100, max_priority_fee_per_gas=10)
    body = to_rpc(transaction, Inclusion("0x" + "11" * 32, 16, 3, base_fee=50))
    assert (body["blockNumber"], body["transactionIndex"], body["gasPrice"]) == ("0x10", "0x3", hex(60))
    assert transaction_from_rpc(body) == transaction


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"hash": "0x" + "00" * 32}, "hash"),
        ({"hash": None}, "hash"),
        ({"hash": "0x123"}, "hash"),
        ({"nonce": "0x8"}, "hash"),
        ({"from": TARGET}, "from"),
        ({"from": None}, "from"),
        ({"nonce": 7}, "nonce"),
        ({"nonce": "7"}, "nonce"),
        ({"nonce": "0x"}, "nonce"),
        ({"nonce": "0x" + "1" * 65}, "nonce"),
        ({"gas": None}, "gas"),
        ({"type": "0x9"}, "type"),
        ({"to": 5}, "to"),
        ({"to": "0x12"}, ""),
        ({"accessList": None}, "accessList"),
        ({"accessList": [5]}, "accessList"),
        ({"accessList": [{"address": TARGET}]}, "storageKeys"),
        ({"accessList": [{"address": TARGET, "storageKeys": [5]}]}, "storageKeys"),
        ({"accessList": [{}] * 65_537}, "accessList"),
        ({"input": "0x1"}, "input"),
        ({"r": "0x0"}, ""),
    ],
)
def test_a_body_that_lies_or_lacks_something_is_refused(change: dict[str, Any], where: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        transaction_from_rpc(to_rpc(signed(2)) | change)
    assert refused.value.where == where


def test_a_storage_key_of_another_length_is_refused() -> None:
    body = to_rpc(signed(2)) | {"accessList": [{"address": TARGET, "storageKeys": ["0x01"]}]}
    with pytest.raises(InvalidTransaction):
        transaction_from_rpc(body)


def test_a_legacy_v_that_means_nothing_is_refused() -> None:
    with pytest.raises(FieldOutOfRange, match="v = 2"):
        transaction_from_rpc(to_rpc(signed(0)) | {"v": "0x2"})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(FieldOutOfRange):
        transaction_from_rpc([])  # type: ignore[arg-type]


def test_the_sender_is_not_compared_if_it_is_not_recovered() -> None:
    body = to_rpc(signed(2)) | {"from": TARGET}
    assert transaction_from_rpc(body, recover=False).sender == ALICE.address
