"""The flashbots 2.0.0 package signs, simulates, sends, waits for, replaces and cancels bundles against the relay.

It runs in an environment of its own, which `scripts/setup-env` makes at need: its web3 is older than any of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.relay.app import Relay
from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256
from tests.bundle_factories import GWEI, hex_of, prepare_chain
from tests.programs import run, set_up
from tests.relay_factories import blocks_on_demand

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

ENVIRONMENT: Final = "relay-conformance"
CLIENT: Final = Path(__file__).with_name("flashbots_client.py")
CLIENT_SECONDS: Final = 60


@pytest.fixture(scope="module")
async def interpreter() -> Path:
    """The interpreter of the package's environment."""
    return await set_up(ENVIRONMENT)


async def test_the_real_package_is_served_in_full(anvil: Anvil, interpreter: Path) -> None:
    names = ("alice", "bob", "carol")
    async with RpcClient(anvil.url) as rpc:
        await prepare_chain(rpc, *names)
    async with Relay(blocks_on_demand(), anvil.url) as relay:
        settings = {
            "public_url": relay.public_url,
            "builder_url": relay.builder_url("solo"),
            "admin_url": relay.admin_url,
            "secrets": {name: hex_of(account(name).secret) for name in (*names, "searcher")},
        }
        given = orjson.dumps(settings)
        seen = orjson.loads(await run(interpreter, CLIENT, given=given, deadline=CLIENT_SECONDS))
    check_simulations(seen)
    check_landing(seen)
    check_replacement(seen)
    check_the_rest(seen)


def check_simulations(seen: dict[str, Any]) -> None:
    simulated = seen["simulate"]
    first, second = simulated["results"]
    assert [one["txHash"] for one in (first, second)] == simulated["hashes"]
    assert simulated["bundleHash"] == hex_of(keccak256(b"".join(bytes.fromhex(h[2:]) for h in simulated["hashes"])))
    assert simulated["totalGasUsed"] == first["gasUsed"] + second["gasUsed"]
    assert int(simulated["coinbaseDiff"]) == int(first["coinbaseDiff"]) + int(second["coinbaseDiff"])
    assert int(first["gasFees"]) == first["gasUsed"] * 2 * GWEI
    assert (first["ethSentToCoinbase"], second["ethSentToCoinbase"]) == ("1000", "5")
    assert seen["simulate_with_defaults"] == {"errors": [None]}
    assert seen["simulate_a_revert"] == {"error": "execution reverted", "revert": "no deal"}


def check_landing(seen: dict[str, Any]) -> None:
    sent = seen["send_and_wait"]
    assert (sent["blocks"], sent["indices"], sent["statuses"]) == ([sent["target"]] * 2, [0, 1], [1, 1])
    assert sent["stats"]["isSimulated"] is True
    assert [entry["pubkey"] for entry in sent["stats"]["sealedByBuildersAt"]] == ["solo"]
    assert sent["old_stats"]["isSentToMiners"] is True
    backrun = seen["backrun_a_pending_transaction"]
    assert (backrun["indices"], backrun["statuses"]) == ([0, 1], [1, 1])


def check_replacement(seen: dict[str, Any]) -> None:
    replaced = seen["replace_and_cancel"]
    assert replaced["cancelled"] == {"bundleHashes": [replaced["last"]]}
    assert replaced["kept"]["statuses"] == [1]
    assert replaced["missing"] == [True, True]


def check_the_rest(seen: dict[str, Any]) -> None:
    assert seen["options"]["too_early_missing"] is True
    assert seen["options"]["lenient"]["statuses"] == [0]
    assert seen["private_transactions"] == {"status": 1, "cancelled": [True, False]}
    stats = seen["user_stats"]
    assert int(stats["v2"]["allTimeValidatorPayments"]) > 0
    assert stats["v1"]["all_time_miner_payments"] == stats["v2"]["allTimeValidatorPayments"]
    refusals = seen["refusals"]
    assert refusals["past"][0] == 400
    assert "not in the future" in refusals["past"][1]["message"]
    assert refusals["empty"] == [400, {"code": -32000, "message": "bundle with no txs"}]
    assert refusals["forged"][0] == 403
    assert "signature" in refusals["forged"][1]["message"]
