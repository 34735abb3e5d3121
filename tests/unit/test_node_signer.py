"""The signer and the bundle's wire form: what is signed, in which order, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import orjson
import pytest

from devnet.relay.bundles import bundle_hash as relays_hash
from devnet.relay.bundles import read_uuid
from devnet.relay.flashbots_signature import verify_body
from node.engine.bundle_wire import bundle_body, cancel_body, signature_header
from node.engine.signer import Signer, SigningLimits, SigningRefused
from node.pipeline.events import SignAndSubmit
from node.pipeline.plans import BundlePlan
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import decode_transaction
from protocol.units import Address, ChainId, Wei
from tests.node_factories import approved

SECRET = keccak256(b"alice's hot key")


def signer_for(plan: BundlePlan, **changes: Any) -> Signer:
    limits: dict[str, Any] = {
        "chain_id": ChainId(plan.chain_id),
        "entry_point": plan.entry_point,
        "max_gas_cost": Wei(10**18),
    }
    return Signer(SECRET, SigningLimits(**(limits | changes)))


@pytest.fixture(scope="module")
def plan() -> BundlePlan:
    """An approved plan, for the key of these tests."""
    plan = approved().plan
    sender = Signer(SECRET, SigningLimits(ChainId(1), Address(bytes(20)), Wei(0))).address
    executions = tuple(msgspec.structs.replace(one, sender=sender) for one in plan.executions)
    return msgspec.structs.replace(plan, executions=executions)


def test_a_bundle_has_the_victims_bytes_first_and_then_ours(plan: BundlePlan) -> None:
    bundle = signer_for(plan).sign(SignAndSubmit(plan))
    assert plan.victims
    assert bundle.transactions[: len(plan.victims)] == tuple(victim.raw for victim in plan.victims)
    ours = [decode_transaction(raw) for raw in bundle.transactions[len(plan.victims) :]]
    assert [one.hash for one in ours] == list(bundle.own)
    for transaction, execution in zip(ours, plan.executions, strict=True):
        assert transaction.sender == "0x" + execution.sender.hex()
        assert transaction.to == "0x" + plan.entry_point.hex()
        assert transaction.data == execution.call_data
        assert (transaction.nonce, transaction.gas_limit) == (execution.nonce, execution.gas_limit)
        assert transaction.max_fee_per_gas == execution.max_fee_per_gas
        assert transaction.max_priority_fee_per_gas == execution.bid.priority_fee_per_gas
    assert bundle.hash == relays_hash((*plan.victims, *ours))


@pytest.mark.parametrize(
    "changes",
    [{"chain_id": ChainId(1)}, {"entry_point": Address(b"\x66" * 20)}, {"max_gas_cost": Wei(1)}],
)
def test_a_plan_for_something_else_is_not_signed(plan: BundlePlan, changes: dict[str, Any]) -> None:
    with pytest.raises(SigningRefused):
        signer_for(plan, **changes).sign(SignAndSubmit(plan))


def test_a_plan_of_another_sender_is_not_signed(plan: BundlePlan) -> None:
    other = tuple(msgspec.structs.replace(one, sender=Address(b"\x01" * 20)) for one in plan.executions)
    with pytest.raises(SigningRefused, match="another key"):
        signer_for(plan).sign(SignAndSubmit(msgspec.structs.replace(plan, executions=other)))


def test_a_signer_shows_no_secret(plan: BundlePlan) -> None:
    signer = signer_for(plan)
    assert SECRET.hex() not in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer._key)


def test_the_relays_check_the_signature_over_the_shared_body(plan: BundlePlan) -> None:
    signer = signer_for(plan)
    body = bundle_body(signer.sign(SignAndSubmit(plan)).transactions, plan.target_block, plan.replaces)
    assert verify_body(signature_header(body, signer.identity), body) == signer.identity.address
    assert signer.identity.address != "0x" + signer.address.hex()


def test_a_replacement_names_what_it_replaces(plan: BundlePlan) -> None:
    (offered,) = orjson.loads(bundle_body([b"\x02"], plan.target_block, plan.replaces))["params"]
    (cancelled,) = orjson.loads(cancel_body(plan.replaces))["params"]
    assert read_uuid(offered["replacementUuid"]) == cancelled["replacementUuid"]
    assert int(offered["blockNumber"], 16) == plan.target_block
