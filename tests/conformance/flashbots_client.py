"""The genuine flashbots 2.0.0 package against a builder's relay. Runs in `.venv-relay-conformance`, not in ours.

Reads from standard input a JSON object with `public_url`, `builder_url`, `admin_url` and `secrets` (alice, bob, carol,
searcher; hex). Prints one JSON object: what the package saw, by step. Whatever it does not expect ends it with a
traceback, and so the test that runs it.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any
from uuid import uuid4

import requests
from eth_account import Account
from flashbots import flashbot
from flashbots.provider import FlashbotProvider
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound

GWEI = 10**9
TIP_JAR = Web3.to_checksum_address("0x" + "71" * 20)
GRUMBLER = Web3.to_checksum_address("0x" + "74" * 20)


class Session:
    """The package on its web3, and the devnet's controls beside it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.admin_url: str = settings["admin_url"]
        self.builder_url: str = settings["builder_url"]
        self.alice, self.bob, self.carol, self.searcher = (
            Account.from_key(settings["secrets"][name]) for name in ("alice", "bob", "carol", "searcher")
        )
        self.w3 = Web3(HTTPProvider(settings["public_url"]))
        flashbot(self.w3, self.searcher, self.builder_url)
        self.flashbots = self.w3.flashbots

    def mine(self) -> None:
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "devnet_mine", "params": []})
        answer = requests.post(self.admin_url, data=request, timeout=30).json()
        if "error" in answer:
            raise RuntimeError(answer["error"])

    def next_block(self) -> int:
        number: int = self.w3.eth.block_number
        return number + 1

    def fees(self, account: Any, **changes: Any) -> dict[str, Any]:
        return {
            "chainId": self.w3.eth.chain_id,
            "nonce": self.w3.eth.get_transaction_count(account.address),
            "maxFeePerGas": 100 * GWEI,
            "maxPriorityFeePerGas": 2 * GWEI,
            "gas": 100_000,
            "to": TIP_JAR,
            "value": 1000,
            "type": 2,
        } | changes

    def bundle(self) -> list[dict[str, Any]]:
        """One transaction for the package to sign, with gas and nonce for it to find out, and a signed legacy one."""
        unsigned = self.fees(self.alice)
        del unsigned["nonce"], unsigned["gas"]
        legacy = {
            "chainId": self.w3.eth.chain_id,
            "nonce": self.w3.eth.get_transaction_count(self.bob.address),
            "gasPrice": 50 * GWEI,
            "gas": 100_000,
            "to": TIP_JAR,
            "value": 5,
        }
        signed = self.bob.sign_transaction(legacy).rawTransaction
        return [{"signer": self.alice, "transaction": unsigned}, {"signed_transaction": signed}]

    def landed(self, receipts: list[Any]) -> dict[str, Any]:
        return {
            "blocks": [receipt["blockNumber"] for receipt in receipts],
            "indices": [receipt["transactionIndex"] for receipt in receipts],
            "statuses": [receipt["status"] for receipt in receipts],
        }


def simulate(session: Session) -> dict[str, Any]:
    target = session.next_block()
    result = session.flashbots.simulate(session.bundle(), block_tag=target, state_block_tag=target - 1)
    return {
        "bundleHash": result["bundleHash"],
        "coinbaseDiff": result["coinbaseDiff"],
        "totalGasUsed": result["totalGasUsed"],
        "results": [dict(one) for one in result["results"]],
        "hashes": [session.w3.keccak(raw).hex() for raw in result["signedBundledTransactions"]],
    }


def simulate_with_defaults(session: Session) -> dict[str, Any]:
    """By default the package simulates the latest block on the state of the one before."""
    session.mine()
    result = session.flashbots.simulate([{"signer": session.alice, "transaction": session.fees(session.alice)}])
    return {"errors": [one.get("error") for one in result["results"]]}


def simulate_a_revert(session: Session) -> dict[str, Any]:
    grumbling = {"signer": session.alice, "transaction": session.fees(session.alice, to=GRUMBLER, value=0)}
    target = session.next_block()
    (result,) = session.flashbots.simulate([grumbling], block_tag=target, state_block_tag=target - 1)["results"]
    return {"error": result["error"], "revert": result["revert"]}


def send_and_wait(session: Session) -> dict[str, Any]:
    target = session.next_block()
    response = session.flashbots.send_bundle(session.bundle(), target_block_number=target)
    threading.Timer(0.2, session.mine).start()  # the package waits for it
    response.wait()
    seen = session.landed(response.receipts())
    name = response.bundle_hash().hex()
    stats = session.flashbots.get_bundle_stats_v2(name, target)
    old_stats = session.flashbots.get_bundle_stats(name, target)
    return {"target": target, "stats": dict(stats), "old_stats": dict(old_stats), **seen}


def backrun_a_pending_transaction(session: Session) -> dict[str, Any]:
    """The package can put a transaction in as the node's JSON has it; it encodes it anew and checks the hash."""
    sent = session.carol.sign_transaction(session.fees(session.carol)).rawTransaction
    victim = session.w3.eth.get_transaction(session.w3.eth.send_raw_transaction(sent))
    own = {"signer": session.alice, "transaction": session.fees(session.alice)}
    response = session.flashbots.send_bundle([dict(victim), own], target_block_number=session.next_block())
    session.mine()
    return session.landed(response.receipts())


def replace_and_cancel(session: Session) -> dict[str, Any]:
    uuid, target = str(uuid4()), session.next_block()
    send = session.flashbots.send_bundle

    def paying(value: int) -> list[dict[str, Any]]:
        return [{"signer": session.alice, "transaction": session.fees(session.alice, value=value)}]

    replaced = send(paying(1), target, {"replacementUuid": uuid})
    last = send(paying(2), target, {"replacementUuid": uuid})
    cancelled = session.flashbots.cancel_bundles(uuid)
    kept = send(paying(3), target, {"replacementUuid": uuid})
    session.mine()
    return {
        "cancelled": cancelled,
        "last": last.bundle_hash().hex(),
        "kept": session.landed(kept.receipts()),
        "missing": [is_missing(response) for response in (replaced, last)],
    }


def is_missing(response: Any) -> bool:
    try:
        response.receipts()
    except TransactionNotFound:
        return True
    return False


def options(session: Session) -> dict[str, Any]:
    """A bundle for another time stays out; a revert that is allowed goes in."""
    target, now = session.next_block(), session.w3.eth.get_block("latest")["timestamp"]
    future = {"minTimestamp": now + 10_000, "maxTimestamp": now + 20_000}
    own = {"signer": session.bob, "transaction": session.fees(session.bob)}
    too_early = session.flashbots.send_bundle([own], target, future)
    grumbling = session.alice.sign_transaction(session.fees(session.alice, to=GRUMBLER, value=0))
    raw = [{"signed_transaction": grumbling.rawTransaction}]
    lenient = session.flashbots.send_bundle(raw, target, {"revertingTxHashes": [grumbling.hash.hex()]})
    session.mine()
    return {"too_early_missing": is_missing(too_early), "lenient": session.landed(lenient.receipts())}


def private_transactions(session: Session) -> dict[str, Any]:
    own = {"signer": session.alice, "transaction": session.fees(session.alice)}
    response = session.flashbots.send_private_transaction(own, session.next_block() + 5)
    threading.Timer(0.2, session.mine).start()
    receipt = response.receipt()
    stranded = session.fees(session.alice)
    stranded["nonce"] += 3
    late = session.flashbots.send_private_transaction({"signer": session.alice, "transaction": stranded})
    cancel = session.flashbots.cancel_private_transaction
    return {"status": receipt["status"], "cancelled": [cancel(late.tx["hash"].hex()) for _ in range(2)]}


def user_stats(session: Session) -> dict[str, Any]:
    return {"v2": dict(session.flashbots.get_user_stats_v2()), "v1": dict(session.flashbots.get_user_stats())}


def refusals(session: Session) -> dict[str, Any]:
    own = {"signer": session.alice, "transaction": session.fees(session.alice)}

    def refused(act: Any) -> list[Any]:
        try:
            act()
        except requests.HTTPError as error:
            answer: Any = error.response
            return [answer.status_code, answer.json()["error"]]
        return ["taken"]

    forger = FlashbotProvider(session.searcher, session.builder_url)
    honest = forger._get_flashbots_headers
    forger._get_flashbots_headers = lambda request_data: honest(request_data + b" ")
    return {
        "past": refused(lambda: session.flashbots.send_bundle([own], session.next_block() - 1)),
        "empty": refused(lambda: session.flashbots.send_raw_bundle([], session.next_block())),
        "forged": refused(lambda: forger.make_request("flashbots_getUserStatsV2", [{"blockNumber": "0x1"}])),
    }


STEPS = (
    simulate,
    simulate_with_defaults,
    simulate_a_revert,
    send_and_wait,
    backrun_a_pending_transaction,
    replace_and_cancel,
    options,
    private_transactions,
    user_stats,
    refusals,
)


def main() -> None:
    """Take all steps in order and print what was seen."""
    session = Session(json.load(sys.stdin))
    sys.stdout.write(json.dumps({step.__name__: step(session) for step in STEPS}, default=str))


if __name__ == "__main__":
    main()
