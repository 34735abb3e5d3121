"""The committed vectors: replayed through our code, and their digests computed by the generic EIP-712 encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.engine.network.block_alerts import block_alerts
from node.engine.network.claims import claim_alert
from node.engine.receipts import Receipt
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity
from node.engine.vault_logs import Log
from protocol import codec, errors, gossip, peer_records, sealing, signing, statements
from protocol.claims import decode_claim
from protocol.conflicts import Leg, Occasion, leg_key, primary_leg
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.typed_data import typed_data_digest
from protocol.evidence import Evidence
from protocol.kinds import AlertKind, PayloadKind
from protocol.messages import Envelope, SecurityAlert
from protocol.reveals import decode_revealed, encode_revealed
from protocol.routes import decode_route, encode_route
from protocol.slashing import answer_of, offence_id
from protocol.units import BlockNumber, ChainId, Hash32, PeerIdHash, StakeUnits, UnixSeconds, address_from_hex
from scripts import gen_vectors
from tests import block_alert_samples
from tests.protocol_factories import BOB
from tests.protocol_rules import epoch_table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "protocol" / "vectors"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
STATEMENTS: dict[str, type[statements.Statement]] = {
    "Order": statements.Order,
    "Accept": statements.Accept,
    "Attestation": statements.Attestation,
    "HotKeyBinding": statements.HotKeyBinding,
    "SealingKey": statements.SealingKey,
}
ENVELOPE_TYPE = "Envelope(uint8 kind,address operator,bytes32 peerIdHash,uint128 sequence,uint64 expiry,bytes payload)"
DOMAINS = {
    name: signing.Domain(ChainId(domain["chainId"]), address_from_hex(domain["verifyingContract"]))
    for name, domain in FILES["statements"]["domains"].items()
}
KEYS = FILES["statements"]["keys"]


def cases(file: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", FILES[file]["vectors"], ids=lambda vector: vector["name"])


def bytes_of(text: str | list[str | int]) -> bytes:
    if isinstance(text, str):
        return bytes.fromhex(text[2:])
    return b"".join(bytes(piece) if isinstance(piece, int) else bytes.fromhex(piece[2:]) for piece in text)


def independent_digest(domain: str, type_string: str, message: dict[str, Any]) -> str:
    """What the generic encoder makes of the JSON alone."""
    declared = FILES["statements"]["domains"][domain]
    name, members = type_string.rstrip(")").split("(")
    fields = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members.split(",")]
    domain_fields = [
        ("string", "name"),
        ("string", "version"),
        ("uint256", "chainId"),
        ("address", "verifyingContract"),
    ]
    document = {
        "types": {"EIP712Domain": [{"type": kind, "name": field} for kind, field in domain_fields], name: fields},
        "primaryType": name,
        "domain": {field: declared[field] for _, field in domain_fields},
        "message": {
            field["name"]: int(value) if field["type"].startswith("uint") else value
            for field in fields
            for value in (message[field["name"]],)
        },
    }
    return "0x" + typed_data_digest(document).hex()


def verify_first_statement(signature: bytes) -> None:
    """The refused signatures are refused as alice's of the first statement."""
    order = codec.decode_statement(statements.Order, bytes_of(FILES["statements"]["vectors"][0]["words"]))
    signing.verify(DOMAINS["devnet"], order, signature, address_from_hex(KEYS["alice"]["address"]))


REFUSALS: dict[str, Callable[[bytes], object]] = {
    "envelope": lambda data: codec.decode_envelope(data, DOMAINS["devnet"].separator),
    "direct": codec.decode_direct,
    "signature": verify_first_statement,
}


def test_there_are_enough_vectors_of_every_file() -> None:
    counts = {name: len(file["vectors"]) for name, file in FILES.items()}
    assert sorted(counts) == [
        "alerts",
        "anti_slashing",
        "claims",
        "direct",
        "envelopes",
        "gossip",
        "leaders",
        "legs",
        "offences",
        "records",
        "refused",
        "reveals",
        "routes",
        "sealing",
        "statements",
    ]
    assert sum(counts.values()) >= 60


def test_the_committed_vectors_are_what_the_script_writes() -> None:
    written = {name: json.loads(text) for name, text in gen_vectors.documents().items()}
    assert written == {f"{name}.json": file for name, file in FILES.items()}


def test_the_keys_and_domains_are_consistent() -> None:
    for key in KEYS.values():
        assert SigningKey(bytes_of(key["secret"])).address == key["address"]
    for name, domain in DOMAINS.items():
        assert domain.separator == bytes_of(FILES["statements"]["domains"][name]["separator"])


@cases("statements")
def test_a_statement_has_these_words_digest_and_signature(vector: dict[str, Any]) -> None:
    kind = STATEMENTS[vector["type"].split("(")[0]]
    domain, words = DOMAINS[vector["domain"]], bytes_of(vector["words"])
    statement = codec.decode_statement(kind, words)
    assert statement.words() == words
    assert gen_vectors.readable(statement) == vector["message"]
    assert "0x" + keccak256(vector["type"].encode()).hex() == vector["typeHash"]
    assert "0x" + keccak256(bytes_of(vector["typeHash"]) + words).hex() == vector["structHash"]
    assert independent_digest(vector["domain"], vector["type"], vector["message"]) == vector["digest"]
    assert signing.digest(domain, statement) == bytes_of(vector["digest"])
    key = KEYS[vector["signer"]]
    assert signing.sign(domain, statement, SigningKey(bytes_of(key["secret"]))) == bytes_of(vector["signature"])
    signing.verify(domain, statement, bytes_of(vector["signature"]), address_from_hex(key["address"]))


@cases("statements")
def test_a_contract_decodes_the_same_values_from_the_words(vector: dict[str, Any]) -> None:
    members = [member.split(" ") for member in vector["type"].split("(")[1].rstrip(")").split(",")]
    decoded = decode([kind for kind, _ in members], bytes_of(vector["words"]))
    for (kind, name), value in zip(members, decoded, strict=True):
        said = vector["message"][name]
        assert value == (bytes_of(said) if kind == "bytes32" else int(said) if kind.startswith("uint") else said)


@cases("envelopes")
def test_an_envelope_has_this_encoding_digest_and_signer(vector: dict[str, Any]) -> None:
    domain, encoding = DOMAINS[vector["domain"]], bytes_of(vector["encoding"])
    envelope = codec.decode_envelope(encoding, domain.separator)
    assert codec.encode_envelope(envelope, domain.separator) == encoding
    assert gen_vectors.readable(envelope) == vector["message"]
    assert (envelope.kind, codec.encode_payload(envelope.payload)) == (vector["kind"], bytes_of(vector["payload"]))
    said = {**vector["message"], "kind": vector["kind"], "payload": vector["payload"]}
    assert independent_digest(vector["domain"], ENVELOPE_TYPE, said) == vector["digest"]
    assert Envelope.LAYOUT.type_string == ENVELOPE_TYPE
    assert signing.digest(domain, envelope) == bytes_of(vector["digest"])
    signing.verify_envelope(domain, envelope, address_from_hex(KEYS[vector["signer"]]["address"]))
    assert envelope.signature == bytes_of(vector["signature"])
    if isinstance(envelope.payload, SecurityAlert):
        assert signing.alert_id(envelope.payload) == bytes_of(vector["alertId"])
    assert codec.decode_payload(PayloadKind(vector["kind"]), bytes_of(vector["payload"])) == envelope.payload


@cases("direct")
def test_a_direct_message_has_this_encoding(vector: dict[str, Any]) -> None:
    encoding = bytes_of(vector["encoding"])
    message = codec.decode_direct(encoding)
    assert codec.encode_direct(message) == encoding
    assert gen_vectors.readable(message) == vector["message"]


@cases("refused")
def test_what_must_be_refused_is_refused_for_its_reason(vector: dict[str, Any]) -> None:
    data, expected = bytes_of(vector["bytes"]), getattr(errors, vector["error"])
    with pytest.raises(errors.RemoteProtocolError) as caught:
        REFUSALS[vector["decode"]](data)
    assert (type(caught.value), caught.value.where) == (expected, vector["where"])


@cases("sealing")
def test_a_box_is_sealed_to_these_bytes_and_opens(vector: dict[str, Any]) -> None:
    domain, leader = DOMAINS[vector["domain"]], sealing.SealingSecret(bytes_of(vector["recipientSecret"]))
    handover = codec.decode_handover(bytes_of(vector["plain"]))
    block = BlockNumber(int(vector["targetBlock"]))
    key = statements.SealingKey(operator=BOB, public_key=leader.public_key, from_block=block, until_block=block)
    ephemeral = sealing.SealingSecret(bytes_of(vector["ephemeralSecret"]))
    sealed = sealing.seal(domain, handover, key, ephemeral)
    assert leader.public_key == bytes_of(vector["recipientKey"])
    assert codec.encode_direct(sealed) == bytes_of(vector["encoding"])
    assert sealing.open_sealed(domain, sealed, leader) == handover


@cases("leaders")
def test_a_block_has_this_leader(vector: dict[str, Any]) -> None:
    sums = [int(stake) for stake in vector["cumulativeStake"]]
    drawn = int.from_bytes(keccak256(bytes_of(vector["seed"]) + int(vector["block"]).to_bytes(32, "big")), "big")
    assert vector["leader"] == sum(stake <= drawn % sums[-1] for stake in sums)
    turn = epoch_table(*sums, seed=Hash32(bytes_of(vector["seed"]))).leader(BlockNumber(int(vector["block"])))
    assert turn is not None
    assert turn.entry == vector["leader"]


@cases("legs")
def test_a_route_has_these_keys(vector: dict[str, Any]) -> None:
    occasion = Occasion(
        ChainId(vector["chainId"]),
        BlockNumber(vector["targetBlock"]),
        Hash32(bytes_of(vector["trigger"])) if vector["trigger"] else None,
    )
    route = [Leg(bytes_of(leg["poolId"]), leg["direction"]) for leg in vector["legs"]]
    assert [leg_key(occasion, leg) for leg in route] == [bytes_of(leg["key"]) for leg in vector["legs"]]
    primary = primary_leg(route, bytes_of(vector["triggerPool"]) if vector["triggerPool"] else None)
    assert leg_key(occasion, primary) == bytes_of(vector["primaryKey"])


@cases("gossip")
def test_a_node_judges_what_it_hears_like_this(vector: dict[str, Any]) -> None:
    state = gossip.Gossip(DOMAINS["devnet"])
    operators = {
        address_from_hex(account): gossip.Operator(
            tuple(address_from_hex(key) for key in one["hotKeys"]),
            PeerIdHash(Hash32(bytes_of(one["peerIdHash"]))),
            StakeUnits(int(one["stake"])),
        )
        for account, one in vector["operators"].items()
    }
    state.follow(gossip.StakeSnapshot(BlockNumber(vector["head"]), operators, UnixSeconds(vector["headTime"])))
    kinds = {gossip.topic(DOMAINS["devnet"], kind): kind for kind in PayloadKind}
    for arrival in vector["arrivals"]:
        publisher, forwarder = (PeerIdHash(Hash32(bytes_of(arrival[role]))) for role in ("publisher", "forwarder"))
        kind, data = kinds[arrival["topic"]], bytes_of(arrival["bytes"])
        for _ in range(arrival.get("times", 1)):
            said = "ACCEPT"
            try:
                state.validate(kind, data, publisher, forwarder, arrival["now"])
            except gossip.GossipVerdict as verdict:
                said = verdict.reason.name
            assert said == arrival["verdict"]


def test_every_verdict_of_gossip_has_a_vector() -> None:
    reasons = {reason.name for kinds in (gossip.IgnoreReason, gossip.RejectReason) for reason in kinds}
    said = {arrival["verdict"] for vector in FILES["gossip"]["vectors"] for arrival in vector["arrivals"]}
    assert said == reasons | {"ACCEPT"}


@cases("routes")
def test_a_route_is_these_bytes_and_what_is_none_is_refused(vector: dict[str, Any]) -> None:
    data = bytes_of(vector["encoding"])
    if "error" in vector:
        with pytest.raises(getattr(errors, vector["error"])):
            decode_route(data)
        return
    route = decode_route(data)
    assert encode_route(route) == data
    assert keccak256(data) == bytes_of(vector["routeCommit"])
    assert [gen_vectors.readable(raw) for raw in route.transactions] == vector["message"]["transactions"]
    assert [gen_vectors.readable(swap) for swap in route.swaps] == vector["message"]["swaps"]


@cases("records")
def test_a_peer_record_is_these_bytes_and_what_is_none_is_refused(vector: dict[str, Any]) -> None:
    data = bytes_of(vector["encoding"])
    if "error" in vector:
        with pytest.raises(getattr(errors, vector["error"])):
            peer_records.verify_record(*peer_records.decode_record(data))
        return
    record, signature = peer_records.decode_record(data)
    peer_records.verify_record(record, signature)
    secret = Ed25519PrivateKey.from_private_bytes(bytes_of(vector["secret"]))
    assert peer_records.seal_record(record, secret.sign) == data
    assert (record.peer_id, record.peer_id_hash) == (bytes_of(vector["peerId"]), bytes_of(vector["peerIdHash"]))
    assert record.sequence == int(vector["sequence"])
    assert [gen_vectors.record_address(address) for address in record.addresses] == vector["addresses"]


@cases("reveals")
def test_a_revealed_accept_is_these_bytes(vector: dict[str, Any]) -> None:
    revealed = bytes_of(vector["revealed"])
    assert keccak256(revealed) == bytes_of(vector["commitment"])
    read = decode_revealed(revealed)
    assert read is not None
    leader, signed = read
    assert (leader, signed.signature) == (bytes_of(vector["leader"]), bytes_of(vector["signature"]))
    assert gen_vectors.readable(signed.accept) == vector["accept"]
    assert encode_revealed(bytes_of(vector["salt"]), leader, signed) == revealed
    signing.verify(DOMAINS["devnet"], signed.accept, signed.signature, address_from_hex(KEYS["bob"]["address"]))
    assert decode_revealed(revealed + b"\0") is None
    with pytest.raises(errors.RemoteProtocolError):
        decode_revealed(revealed[:52] + bytes(160) + revealed[212:])


@cases("offences")
def test_an_offence_has_this_id(vector: dict[str, Any]) -> None:
    evidence = codec.decode_direct(bytes_of(vector["encoding"]))
    assert isinstance(evidence, Evidence)
    assert (evidence.kind, evidence.operator) == (vector["kind"], bytes_of(vector["operator"]))
    assert answer_of(evidence.statement_a)[0].key == bytes_of(vector["slot"])
    words = bytes(12) + evidence.operator + evidence.kind.to_bytes(32, "big") + bytes_of(vector["slot"])
    assert keccak256(words) == offence_id(evidence) == bytes_of(vector["offenceId"])


@cases("claims")
def test_a_claim_is_told_in_these_bytes_and_what_is_none_is_refused(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(getattr(errors, vector["error"])):
            decode_claim(AlertKind(vector["kind"]), bytes_of(vector["evidence"]))
        return
    block, message = vector["block"], vector["message"]
    header = msgspec.structs.replace(
        block_alert_samples.header(), hash=Hash32(bytes_of(block["hash"])), timestamp=block["timestamp"]
    )
    claim = decode_claim(AlertKind(message["kind"]), bytes_of(message["evidence"]))
    assert gen_vectors.readable(claim) == vector["claim"]
    told = claim_alert(header, claim, Hash32(bytes_of(message["subject"])))
    assert gen_vectors.readable(told) == message
    assert signing.alert_id(told) == bytes_of(vector["alertId"])


@cases("alerts")
def test_a_block_gives_these_alerts(vector: dict[str, Any]) -> None:
    block = vector["block"]
    header = msgspec.structs.replace(
        block_alert_samples.header(), hash=Hash32(bytes_of(block["hash"])), timestamp=block["timestamp"]
    )
    receipts = [
        Receipt(
            HashHex(bytes_of(one["hash"])),
            Quantity(1),
            Quantity(1),
            Quantity(1),
            tuple(
                Log(
                    AddressHex(bytes_of(log["address"])),
                    tuple(HashHex(bytes_of(word)) for word in log["topics"]),
                    Data(bytes_of(log["data"])),
                )
                for log in one["logs"]
            ),
            AddressHex(bytes_of(one["from"])),
            None if one["to"] is None else AddressHex(bytes_of(one["to"])),
        )
        for one in vector["transactions"]
    ]
    before = {address_from_hex(feed): answer for feed, answer in vector["answersBefore"].items()}
    found = block_alerts(header, receipts, before)
    assert [
        {"message": gen_vectors.readable(one), "alertId": "0x" + signing.alert_id(one).hex()} for one in found
    ] == vector["alerts"]


def test_the_script_tells_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(gen_vectors, "FOLDER", tmp_path / "vectors")
    monkeypatch.setattr("sys.argv", ["gen-vectors"])
    assert gen_vectors.main() == 0
    monkeypatch.setattr("sys.argv", ["gen-vectors", "--check"])
    assert gen_vectors.main() == 0
    (tmp_path / "vectors" / "direct.json").write_text("{}")
    assert gen_vectors.main() == 1
    assert "direct.json differs" in capsys.readouterr().err
