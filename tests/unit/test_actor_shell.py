"""The shell around the plans: nonces, journals, outcomes, signatures, wiring checks, the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner

from devnet.accounts import account
from devnet.actors.__main__ import main
from devnet.actors.app import ActorsRefused, check_manifest, load_manifest
from devnet.actors.gateway import flashbots_signature
from devnet.actors.intents import BundleIntent, Foreign, Purse
from devnet.actors.journal import ACTORS, SANDWICHES, Journal, forget_journals
from devnet.actors.outcomes import Outcomes
from devnet.actors.replay import Replay
from devnet.actors.view import ConstantProductState
from devnet.actors.wallet import PATIENCE_BLOCKS, Wallet
from devnet.errors import StorageFailed
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, recover_address
from protocol.ethereum.transactions import decode_transaction
from tests.actors_scene import (
    CHAIN_ID,
    ETHER,
    V2_USDC,
    address,
    make_manifest,
    make_market,
    make_view,
    reserves,
    v2_swap,
)

SWAP = v2_swap("trader-0", 10**18, 5, ["WETH", "USDC"])
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SYNC = "0x" + keccak256(b"Sync(uint112,uint112)").hex()


def wallet(nonce: int = 7) -> Wallet:
    return Wallet(CHAIN_ID, {"trader-0": nonce, "sandwicher-0": 0})


def receipt(status: int = 1, logs: Any = ()) -> Mapping[str, Any]:
    fields = {"status": hex(status), "gasUsed": "0x5208", "effectiveGasPrice": hex(10**9), "logs": list(logs)}
    return {**fields, "blockHash": "0x" + "b1" * 32}


def test_an_intent_becomes_a_transaction_of_its_account_that_survives_rising_base_fees() -> None:
    signed = wallet().sign(SWAP, 11, 10**9)
    transaction = decode_transaction(signed.raw)
    assert transaction.sender == account("trader-0").address
    assert (transaction.nonce, transaction.max_fee_per_gas) == (7, 2 * 10**9 + SWAP.tip)
    assert "0x" + transaction.hash.hex() == signed.hash


def test_nonces_rise_while_out_and_a_refused_one_is_used_again() -> None:
    purse = wallet()
    first, second = purse.sign(SWAP, 11, 1), purse.sign(SWAP, 11, 1)
    assert (first.nonce, second.nonce) == (7, 8)
    purse.refused(first)
    assert [purse.sign(SWAP, 11, 1).nonce for _ in range(2)] == [7, 9]


def test_mined_transactions_settle_in_the_order_of_the_block() -> None:
    purse = wallet()
    first, second = purse.sign(SWAP, 11, 1), purse.sign(SWAP, 11, 1)
    assert purse.mined(["0xother", first.hash, second.hash]) == [first, second]
    assert purse.mined([first.hash]) == []
    assert purse.sign(SWAP, 12, 1).nonce == 9


def test_what_is_out_too_long_is_lost_and_the_chain_says_the_nonce() -> None:
    purse = wallet()
    signed = purse.sign(SWAP, 11, 1)
    assert purse.lost(11 + PATIENCE_BLOCKS) == []
    assert purse.lost(12 + PATIENCE_BLOCKS) == [signed]
    purse.correct("trader-0", 30)
    assert purse.sign(SWAP, 20, 1).nonce == 30


def test_a_bundle_uses_nonces_only_when_it_lands() -> None:
    purse = wallet()
    own = replace(SWAP, account="sandwicher-0")
    bundle = BundleIntent(actor="sandwicher", action="x", parts=(own, Foreign(b"\x02", "0xvictim"), own))
    first, again = (purse.sign_bundle(bundle, 11, 1) for _ in range(2))
    assert [signed.nonce for signed in first.own] == [signed.nonce for signed in again.own] == [0, 1]
    assert first.hashes[1] == "0xvictim"
    purse.landed(first)
    assert [signed.nonce for signed in purse.sign_bundle(bundle, 12, 1).own] == [2, 3]


def test_a_purse_gives_no_more_than_it_has() -> None:
    purse = Purse({("trader-0", "USDC"): 10}, {"trader-0": 5 * ETHER}, ETHER)
    purse.take("trader-0", "USDC", 7)
    purse.take_ether("trader-0", 4 * ETHER)
    assert (purse.held("trader-0", "USDC"), purse.ether("trader-0")) == (3, 0)
    with pytest.raises(ValueError, match="does not hold 4 of USDC"):
        purse.take("trader-0", "USDC", 4)
    with pytest.raises(ValueError, match="does not hold 1 wei"):
        purse.take_ether("trader-0", 1)


def test_a_journal_keeps_a_bounded_number_of_bounded_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "logs" / "actors.jsonl", maximum_bytes=100)
    for number in range(50):
        journal.write({"number": number, "text": "x" * 20})
    journal.close()
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["actors.jsonl", "actors.jsonl.1", "actors.jsonl.2"]
    assert all(path.stat().st_size <= 100 for path in (tmp_path / "logs").iterdir())
    assert orjson.loads(journal.path.read_bytes().splitlines()[-1])["number"] == 49
    assert journal.counts["rotations"] == 24


def test_a_journal_goes_on_after_a_restart_and_says_when_it_cannot(tmp_path: Path) -> None:
    for number in range(2):
        journal = Journal(tmp_path / "actors.jsonl")
        journal.write({"number": number})
        journal.close()
    assert len((tmp_path / "actors.jsonl").read_bytes().splitlines()) == 2
    with pytest.raises(StorageFailed, match="cannot be written"):
        Journal(tmp_path / "actors.jsonl" / "below").write({})


def test_a_new_run_does_not_go_on_with_the_journals_of_an_older_chain(tmp_path: Path) -> None:
    forget_journals(tmp_path / "not there yet")
    journal = Journal(tmp_path / SANDWICHES, maximum_bytes=100)
    for number in range(50):
        journal.write({"number": number, "text": "x" * 20})
    journal.close()
    (tmp_path / "anvil.log").write_text("stays")
    forget_journals(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["anvil.log"]
    (tmp_path / ACTORS).mkdir()
    with pytest.raises(StorageFailed, match="cannot be deleted"):
        forget_journals(tmp_path)


def test_the_flashbots_header_recovers_to_its_signer() -> None:
    body, signer = b'{"method":"eth_sendBundle"}', account("rival-flashbots-identity")
    claimed, signature = flashbots_signature(body, signer).split(":")
    text = b"0x" + keccak256(body).hex().encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n66" + text)
    raw = bytes.fromhex(signature[2:])
    parts = Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64] - 27)
    assert recover_address(digest, parts) == claimed == signer.address


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_outcomes_say_what_became_of_every_intent(tmp_path: Path) -> None:
    purse = wallet()
    outcomes = Outcomes(
        make_market(), purse, Journal(tmp_path / "actors.jsonl"), Journal(tmp_path / "sandwiches.jsonl")
    )
    mined, reverted, lost, refused = (purse.sign(SWAP, 11, 1) for _ in range(4))
    outcomes.refused(refused, "nonce too high")
    receipts = {mined.hash: receipt(), reverted.hash: receipt(0)}
    assert outcomes.settle(11, list(receipts), receipts) == []
    assert outcomes.settle(12 + PATIENCE_BLOCKS, [], {}) == ["trader-0"]
    found = {entry["hash"]: entry["outcome"] for entry in lines(tmp_path / "actors.jsonl")}
    assert found == {
        mined.hash: "mined",
        reverted.hash: "reverted",
        lost.hash: "lost",
        refused.hash: "refused",
    }
    assert outcomes.counts["traders.mined"] == 1


def transfer(token: str, sender: str, receiver: str, amount: int) -> Mapping[str, Any]:
    topics = [TRANSFER, "0x" + sender[2:].rjust(64, "0"), "0x" + receiver[2:].rjust(64, "0")]
    return {"address": address(token), "topics": topics, "data": hex(amount)}


def test_a_landed_sandwich_is_written_down_with_what_it_really_brought(tmp_path: Path) -> None:
    purse = wallet()
    outcomes = Outcomes(
        make_market(), purse, Journal(tmp_path / "actors.jsonl"), Journal(tmp_path / "sandwiches.jsonl")
    )
    own = replace(SWAP, account="sandwicher-0")
    detail = {"variant": "classic", "pool": V2_USDC.name, "token_in": "WETH", "expected_profit": "1"}
    intent = BundleIntent(
        actor="sandwicher", action="sandwich_classic", parts=(own, Foreign(b"", "0xvictim"), own), detail=detail
    )
    missed = purse.sign_bundle(intent, 11, 1)
    outcomes.offered(missed, {"slow": "too late"})
    assert outcomes.settle(11, [], {}) == ["sandwicher-0"]
    landed = purse.sign_bundle(intent, 12, 1)
    outcomes.offered(landed, {})
    attacker, pool = account("sandwicher-0").address, V2_USDC.address
    front, victim, back = landed.hashes
    receipts = {
        front: receipt(logs=[transfer("WETH", attacker, pool, 100), transfer("USDC", pool, attacker, 9)]),
        victim: receipt(logs=[transfer("WETH", address("x"), pool, 50)]),
        back: receipt(logs=[transfer("USDC", attacker, pool, 9), transfer("WETH", pool, attacker, 103)]),
    }
    outcomes.settle(12, ["0xfirst", front, victim, back], receipts)
    (truth,) = lines(tmp_path / "sandwiches.jsonl")
    assert truth["block_hash"] == receipts[front]["blockHash"]
    assert (truth["block"], truth["index"], truth["front"], truth["back"]) == (12, 1, front, back)
    assert (truth["victims"], truth["profit"], truth["attacker"]) == ([victim], "3", attacker)
    assert truth["fees_wei"] == str(2 * 21_000 * 10**9)
    assert (outcomes.counts["sandwicher.missed"], outcomes.counts["sandwicher.landed"]) == (1, 1)


def test_a_replay_books_what_a_swap_makes_and_what_an_arbitrage_takes() -> None:
    replay = Replay(make_market(), make_view().pools)
    assert replay.value() == 0
    dollars, ether = reserves(V2_USDC, 5_000_000)

    def sync(first: int, second: int) -> Mapping[str, Any]:
        return {"address": V2_USDC.address, "topics": [SYNC], "data": f"0x{first:064x}{second:064x}"}

    made = replay.transaction("whales", [sync(dollars * 97 // 100, ether * 103 // 100)])
    taken = replay.transaction("rival", [sync(dollars, ether)])
    assert made == -taken > ETHER // 10
    assert replay.transaction("others", [{"address": address("x"), "topics": [], "data": "0x"}]) == 0
    assert (replay.accounts["whales"].created, replay.accounts["rival"].taken) == (made, made)
    assert replay.states[V2_USDC.name] == ConstantProductState((dollars, ether))


def test_a_world_that_does_not_fit_is_refused_with_all_reasons() -> None:
    with pytest.raises(ActorsRefused) as caught:
        check_manifest(make_manifest(chain_id=1, contracts={}, tokens=()))
    text = str(caught.value)
    assert "is of chain 1: the actors play on a local devnet (31337) only" in text
    assert "has no contract sandwich_executor" in text
    assert "has no token WETH" in text
    check_manifest(make_manifest())


def test_a_manifest_is_read_back_and_garbage_is_not(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(msgspec.json.encode(make_manifest()))
    assert load_manifest(path) == make_manifest()
    path.write_text("{")
    with pytest.raises(ActorsRefused, match="is not a manifest"):
        load_manifest(path)
    with pytest.raises(ActorsRefused, match="cannot be read"):
        load_manifest(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"--manifest": "nowhere.json"}, "nowhere.json cannot be read"),
        ({"--parameters": "nowhere.toml"}, "nowhere.toml: cannot be read"),
        ({"--builders": "alice"}, "'alice' is not a new name=url"),
        ({"--builders": "a=http://x,a=http://y"}, "'a=http://y' is not a new name=url"),
        ({"--tape": "t.json"}, "a tape needs --chain-url"),
        ({"--tape": "t.json", "--chain-url": "http://x"}, "in lockstep only"),
        ({"--tape": "t.json", "--record-tape": "u.json", "--chain-url": "http://x"}, "recorded or played, not both"),
        ({"--record-tape": "t.json", "--chain-url": "http://x"}, "a tape has at least one block, not 0"),
        ({}, "did not answer"),
    ],
)
def test_a_wrong_option_ends_with_one_clear_line(
    change: dict[str, str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(msgspec.to_builtins(make_manifest())))
    options = {"--manifest": "manifest.json", "--url": "http://127.0.0.1:1/", "--ws": "ws://127.0.0.1:1/", **change}
    # The event loop puts back Python's own handlers, not those of a coverage run.
    before = [signal.SIG_DFL, signal.default_int_handler]
    result = CliRunner().invoke(main, [word for option in options.items() for word in option])
    assert result.exit_code == 1
    assert fault in result.output
    assert "Traceback" not in result.output
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
