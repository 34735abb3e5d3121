"""`scripts/gen-vectors`: writes protocol/vectors/*.json, the protocol's own test vectors (format: docs/protocol.md).

The same code writes the same bytes. With `--check` it compares, and exits 1 if the committed ones differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from node.engine.network.claims import claim_alert
from protocol import codec, messages, peer_records, sealing, signing
from protocol.claims import decode_claim
from protocol.conflicts import leg_key, primary_leg
from protocol.errors import RemoteProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.gossip import topic
from protocol.layout import wire_name
from protocol.reveals import encode_revealed
from protocol.routes import decode_route, encode_route
from protocol.slashing import answer_of, offence_id
from protocol.units import (
    BlockNumber,
    address_to_hex,
    max_uint,
)
from tests import block_alert_samples as alert_samples
from tests import slashing_cases
from tests.claim_samples import claim_samples, refused_claims
from tests.gossip_factories import PEERS
from tests.gossip_scenarios import scenarios, verdicts
from tests.peer_record_samples import record_samples, refused_records
from tests.protocol_factories import (
    ADDRESSES,
    ALICE,
    BOB,
    DEVNET,
    DOMAINS,
    KEYS,
    NOW,
    SECRETS,
    accept,
    envelope,
    hash_of,
    heartbeat,
    order,
    sealing_key,
    sealing_secret,
)
from tests.protocol_refusals import refused_direct, refused_envelopes, refused_signatures
from tests.protocol_rules import draws, epoch_table, routes
from tests.protocol_samples import (
    direct_messages,
    evidence_samples,
    payloads,
    refused_routes,
    route_samples,
    sealed_orders,
    signed_statements,
)

FOLDER: Final = Path(__file__).resolve().parent.parent / "protocol" / "vectors"
EXACT_IN_JSON: Final = max_uint(53)


def readable(value: object) -> Any:
    """Return a value for JSON: bytes as 0x hex, an integer above 2^53 as decimal text, names as in Solidity."""
    if isinstance(value, msgspec.Struct):
        return {wire_name(name): readable(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, tuple):
        return [readable(item) for item in value]
    return str(value) if isinstance(value, int) and value > EXACT_IN_JSON else value


def statement_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what is signed by itself."""
    vectors = []
    for name, domain, signer, statement in signed_statements():
        words = statement.words()
        vectors.append(
            {
                "name": name,
                "domain": domain,
                "type": statement.LAYOUT.type_string,
                "typeHash": readable(statement.LAYOUT.type_hash),
                "message": readable(statement),
                "words": readable(words),
                "structHash": readable(statement.LAYOUT.hash_struct(words)),
                "digest": readable(signing.digest(DOMAINS[domain], statement)),
                "signer": signer,
                "signature": readable(signing.sign(DOMAINS[domain], statement, KEYS[signer])),
            }
        )
    return vectors


def envelope_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what is gossiped."""
    cases = [(name, "devnet", payload) for name, payload in payloads()]
    cases.append(("heartbeat on another chain", "mainnet", heartbeat()))
    vectors = []
    for name, domain, payload in cases:
        whole = envelope(payload, DOMAINS[domain])
        vector = {
            "name": name,
            "domain": domain,
            "kind": int(whole.kind),
            "message": readable(whole),
            "payload": readable(codec.encode_payload(payload)),
            "digest": readable(signing.digest(DOMAINS[domain], whole)),
            "signer": "alice",
            "signature": readable(whole.signature),
            "encoding": readable(codec.encode_envelope(whole, DOMAINS[domain].separator)),
        }
        if isinstance(payload, messages.SecurityAlert):
            vector["alertId"] = readable(signing.alert_id(payload))
        vectors.append(vector)
    return vectors


def direct_vectors() -> list[dict[str, Any]]:
    """Return the vectors of what nodes send each other directly."""
    return [
        {"name": name, "message": readable(message), "encoding": readable(codec.encode_direct(message))}
        for name, message in direct_messages()
    ]


def sealing_vectors() -> list[dict[str, Any]]:
    """Return orders in boxes, with every secret that made them."""
    vectors = []
    for name, domain, handed, recipient, once in sealed_orders():
        leader, ephemeral = sealing_secret(recipient), sealing_secret(once)
        key = sealing_key(public_key=leader.public_key)
        vectors.append(
            {
                "name": name,
                "domain": domain,
                "targetBlock": handed.order.target_block,
                "recipientSecret": readable(hash_of(recipient)),
                "recipientKey": readable(leader.public_key),
                "ephemeralSecret": readable(hash_of(once)),
                "plain": readable(codec.encode_handover(handed)),
                "encoding": readable(codec.encode_direct(sealing.seal(DOMAINS[domain], handed, key, ephemeral))),
            }
        )
    return vectors


def leader_vectors() -> list[dict[str, Any]]:
    """Return draws: which entry leads a block."""
    vectors = []
    for name, seed, cumulative, number in draws():
        turn = epoch_table(*cumulative, seed=seed).leader(BlockNumber(number))
        assert turn is not None
        stakes = [str(stake) for stake in cumulative]
        block = readable(number)
        vectors.append(
            {"name": name, "seed": readable(seed), "cumulativeStake": stakes, "block": block, "leader": turn.entry}
        )
    return vectors


def leg_vectors() -> list[dict[str, Any]]:
    """Return routes with the keys of their legs and the primary one."""
    vectors = []
    for name, occasion, route, trigger_pool in routes():
        legs = [
            {"poolId": readable(leg.pool_id), "direction": leg.direction, "key": readable(leg_key(occasion, leg))}
            for leg in route
        ]
        vectors.append(
            {
                "name": name,
                "chainId": occasion.chain_id,
                "targetBlock": occasion.target_block,
                "trigger": readable(occasion.trigger),
                "triggerPool": readable(trigger_pool),
                "legs": legs,
                "primaryKey": readable(leg_key(occasion, primary_leg(route, trigger_pool))),
            }
        )
    return vectors


def gossip_vectors() -> list[dict[str, Any]]:
    """Return what a node hears and what it makes of it."""
    vectors = []
    for scenario in scenarios():
        operators = {
            address_to_hex(account): {
                "hotKeys": [address_to_hex(key) for key in one.hot_keys],
                "peerIdHash": readable(one.peer_id_hash),
                "stake": str(one.stake),
            }
            for account, one in scenario.registry.operators.items()
        }
        arrivals = [
            {
                "topic": topic(DEVNET, one.kind),
                "publisher": readable(PEERS[one.publisher]),
                "forwarder": readable(PEERS[one.forwarder]),
                "now": NOW + one.at,
                "verdict": said,
                "bytes": compact(one.data),
                **({"times": one.times} if one.times > 1 else {}),
            }
            for one, said in zip(scenario.arrivals, verdicts(scenario), strict=True)
        ]
        head, time = scenario.registry.block, scenario.registry.time
        vector = {"name": scenario.name, "head": head, "headTime": time, "operators": operators, "arrivals": arrivals}
        vectors.append(vector)
    return vectors


def alert_vectors() -> list[dict[str, Any]]:
    """Return blocks with the alerts that they give."""
    vectors = []
    for block in alert_samples.blocks():
        header = alert_samples.header()
        alerts = [{"message": readable(one), "alertId": readable(signing.alert_id(one))} for one in block.alerts]
        vectors.append(
            {
                "name": block.name,
                "block": {"hash": readable(header.hash), "timestamp": header.timestamp},
                "transactions": [
                    {
                        "hash": readable(one.hash),
                        "from": readable(one.origin),
                        "to": readable(one.destination),
                        "logs": [
                            {
                                "address": readable(bytes(log.address)),
                                "topics": [readable(bytes(word)) for word in log.topics],
                                "data": readable(bytes(log.data)),
                            }
                            for log in one.logs
                        ],
                    }
                    for one in block.receipts
                ],
                "answersBefore": {readable(feed): readable(answer) for feed, answer in block.before.items()},
                "alerts": alerts,
            }
        )
    return vectors


def claim_vectors() -> list[dict[str, Any]]:
    """Return alerts that no block gives by itself, and bytes that are no evidence of one."""
    vectors: list[dict[str, Any]] = []
    header = alert_samples.header()
    for name, subject, claim in claim_samples():
        told = claim_alert(header, claim, subject)
        vectors.append(
            {
                "name": name,
                "block": {"hash": readable(header.hash), "timestamp": header.timestamp},
                "claim": readable(claim),
                "message": readable(told),
                "alertId": readable(signing.alert_id(told)),
            }
        )
    for name, kind, evidence in refused_claims():
        try:
            decode_claim(kind, evidence)
        except RemoteProtocolError as error:
            refused = {"name": name, "kind": int(kind), "evidence": readable(evidence)}
            vectors.append({**refused, "error": type(error).__name__})
        else:
            raise AssertionError(name)
    return vectors


def reveal_vectors() -> list[dict[str, Any]]:
    """Return accepts as their finder reveals them."""
    vectors = []
    for name, said in (("an accept", accept()), ("an accept of another order", accept(order_hash=hash_of("another")))):
        signed, salt = signing.sign_accept(DEVNET, said, KEYS["bob"]), hash_of(f"salt of {name}")
        revealed = encode_revealed(salt, BOB, signed)
        vectors.append(
            {
                "name": name,
                "salt": readable(salt),
                "leader": readable(BOB),
                "accept": readable(said),
                "signature": readable(signed.signature),
                "revealed": readable(revealed),
                "commitment": readable(keccak256(revealed)),
            }
        )
    return vectors


def offence_vectors() -> list[dict[str, Any]]:
    """Return evidence with what its offence is called."""
    return [
        {
            "name": name,
            "kind": int(evidence.kind),
            "operator": readable(evidence.operator),
            "encoding": readable(codec.encode_direct(evidence)),
            "slot": readable(answer_of(evidence.statement_a)[0].key),
            "offenceId": readable(offence_id(evidence)),
        }
        for name, evidence in evidence_samples()
    ]


def route_vectors() -> list[dict[str, Any]]:
    """Return routes with their bytes, and bytes that are none."""
    vectors: list[dict[str, Any]] = []
    for name, route in route_samples():
        encoded = encode_route(route)
        message = {
            "transactions": [readable(raw) for raw in route.transactions],
            "swaps": [readable(swap) for swap in route.swaps],
        }
        vectors.append(
            {
                "name": name,
                "message": message,
                "encoding": readable(encoded),
                "routeCommit": readable(keccak256(encoded)),
            }
        )
    for name, data in refused_routes():
        try:
            decode_route(data)
        except RemoteProtocolError as error:
            vectors.append({"name": name, "encoding": compact(data), "error": type(error).__name__})
        else:
            raise AssertionError(f"{name}: was not refused")
    return vectors


def record_vectors() -> list[dict[str, Any]]:
    """Return signed records of peers with their bytes, and bytes that are none."""
    vectors: list[dict[str, Any]] = []
    for name, secret, record in record_samples():
        vectors.append(
            {
                "name": name,
                "secret": readable(secret.private_bytes_raw()),
                "peerId": readable(record.peer_id),
                "peerIdHash": readable(record.peer_id_hash),
                "sequence": readable(record.sequence),
                "addresses": [record_address(address) for address in record.addresses],
                "encoding": readable(peer_records.seal_record(record, secret.sign)),
            }
        )
    for name, data in refused_records():
        try:
            peer_records.verify_record(*peer_records.decode_record(data))
        except RemoteProtocolError as error:
            vectors.append({"name": name, "encoding": readable(data), "error": type(error).__name__})
        else:
            raise AssertionError(f"{name}: was not refused")
    return vectors


def record_address(address: bytes) -> dict[str, Any]:
    """Return an address of a record: its bytes, and if it is one of IP and TCP where it leads, and whether publicly."""
    place = peer_records.place_of(address)
    told: dict[str, Any] = {"address": readable(address)}
    return (
        told
        if place is None
        else told | {"ip": str(place[0]), "port": place[1], "public": peer_records.is_public(place[0])}
    )


def slashing_vectors() -> list[dict[str, Any]]:
    """Return what may be signed after what."""
    return [{"name": name, "steps": [_slashing_step(step) for step in steps]} for name, steps in slashing_cases.cases()]


def _slashing_step(step: slashing_cases.Step) -> dict[str, Any]:
    name = type(step).__name__.lower()
    match step:
        case slashing_cases.Sign(statement, head, expected):
            kind, message = statement.LAYOUT.name, readable(statement)
            return {"step": name, "type": kind, "message": message, "head": head, "expected": expected}
        case slashing_cases.Import(document):
            return {"step": name, "document": document}
        case slashing_cases.Distrust(head) | slashing_cases.Forget(head):
            return {"step": name, "head": head}
        case _:
            return {"step": name}


def refused_vectors() -> list[dict[str, Any]]:
    """Return what must be refused, with the error's name and the field where it lies."""
    checks: tuple[tuple[str, Iterator[tuple[str, bytes]], Callable[[bytes], object]], ...] = (
        ("envelope", refused_envelopes(), lambda data: codec.decode_envelope(data, DEVNET.separator)),
        ("direct", refused_direct(), codec.decode_direct),
        ("signature", refused_signatures(), lambda data: signing.verify(DEVNET, order(), data, ALICE)),
    )
    vectors = []
    for what, cases, check in checks:
        for name, data in cases:
            try:
                check(data)
            except RemoteProtocolError as error:
                found = {"error": type(error).__name__, "where": error.where}
                vectors.append({"name": name, "decode": what, **found, "bytes": compact(data)})
            else:
                raise AssertionError(f"{what}, {name}: was not refused")
    return vectors


def compact(data: bytes) -> Any:
    """Return the hex of `data`; if it holds a long run of zeros, its pieces: hex text, or a number of zero bytes."""
    start = data.find(bytes(1024))
    if start < 0:
        return readable(data)
    end = start
    while end < len(data) and data[end] == 0:
        end += 1
    return [readable(data[:start]), end - start, readable(data[end:])]


def documents() -> dict[str, str]:
    """Return the text of each file, by name."""
    common = {
        "format": 1,
        "keys": {
            name: {"secret": readable(SECRETS[name]), "address": address_to_hex(ADDRESSES[name])} for name in KEYS
        },
        "domains": {
            name: {
                "name": signing.DOMAIN_NAME,
                "version": signing.DOMAIN_VERSION,
                "chainId": domain.chain_id,
                "verifyingContract": address_to_hex(domain.registry),
                "separator": readable(domain.separator),
            }
            for name, domain in DOMAINS.items()
        },
    }
    files = {
        "statements.json": statement_vectors(),
        "envelopes.json": envelope_vectors(),
        "direct.json": direct_vectors(),
        "refused.json": refused_vectors(),
        "sealing.json": sealing_vectors(),
        "leaders.json": leader_vectors(),
        "legs.json": leg_vectors(),
        "gossip.json": gossip_vectors(),
        "routes.json": route_vectors(),
        "alerts.json": alert_vectors(),
        "claims.json": claim_vectors(),
        "records.json": record_vectors(),
        "reveals.json": reveal_vectors(),
        "offences.json": offence_vectors(),
        "anti_slashing.json": slashing_vectors(),
    }
    return {name: json.dumps({**common, "vectors": vectors}, indent=1) + "\n" for name, vectors in files.items()}


def main() -> int:
    """Write the files, or compare them with `--check`."""
    differs = 0
    for name, text in documents().items():
        path = FOLDER / name
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                print(f"{path.name} differs from what scripts/gen-vectors writes", file=sys.stderr)
                differs = 1
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"{path.name}: {len(json.loads(text)['vectors'])} vectors")
    return differs


if __name__ == "__main__":
    sys.exit(main())
