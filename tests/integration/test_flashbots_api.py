"""A builder's relay, method by method, on a real Anvil: answers and refusals as its users get them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import BLOCK_GAS_LIMIT, CHAIN_ID, Anvil
from devnet.errors import ChainFailed
from devnet.relay.builders import BuilderConfig
from devnet.relay.building import build_block
from devnet.relay.chain import Chain
from devnet.relay.flashbots_api import MAX_BODY_BYTES, PRIVATE_BLOCKS, FlashbotsApi
from devnet.relay.flashbots_signature import HEADER, sign_body
from devnet.relay.mempool_rules import Reason, Refused
from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import checksum_address
from protocol.ethereum.transactions import SignedTransaction
from tests.bundle_factories import (
    BURNER,
    ETHER,
    GRUMBLER,
    GWEI,
    TIP_JAR,
    TURNSTILE,
    hex_of,
    next_block,
    prepare_chain,
    slot,
    transaction,
)

pytestmark = pytest.mark.anvil

SWIFT = BuilderConfig(name="swift", share=1, delay_ms=0, refusal_rate=0, coinbase="0x" + "cb" * 20)
CLOSED = BuilderConfig(name="closed", share=1, delay_ms=0, refusal_rate=1, coinbase="0x" + "cc" * 20)
UUID = "6b0f0a56-28f7-4d7a-a2b5-0d7c1a8f1e21"
NOON = 1_700_000_000.0


@dataclass
class Mempool:
    """Stands for the relay's mempool: takes everything but what it is told to refuse."""

    held: dict[bytes, bytes] = field(default_factory=dict)
    refuses: bool = False

    async def submit(self, raw: bytes) -> bytes:
        if self.refuses:
            raise Refused(Reason.UNDERPRICED)
        self.held[keccak256(raw)] = raw
        return keccak256(raw)

    def withdraw(self, hash_: bytes) -> bool:
        return self.held.pop(hash_, None) is not None


@dataclass
class Relay:
    """The API with what it stands on, and a signing client."""

    api: FlashbotsApi
    rpc: RpcClient
    chain: Chain
    mempool: Mempool

    async def ask(
        self, method: str, *params: Any, signer: str = "alice", builder: str = "swift"
    ) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and JSON answer of a signed request."""
        body = orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        return await self.post(body, signer=signer, builder=builder)

    async def post(self, body: bytes, *, signer: str = "alice", builder: str = "swift") -> tuple[int, dict[str, Any]]:
        answer = await self.api.handle(builder, {HEADER: sign_body(body, account(signer).key)}, body)
        return answer.status, orjson.loads(answer.body)

    async def result(self, method: str, *params: Any, **options: str) -> Any:
        """Return the result of a request that must succeed."""
        status, answer = await self.ask(method, *params, **options)
        assert (status, answer["jsonrpc"], answer["id"]) == (200, "2.0", 7), answer
        return answer["result"]

    async def error(self, method: str, *params: Any, **options: str) -> tuple[int, str]:
        """Return code and message of a request that must be refused."""
        status, answer = await self.ask(method, *params, **options)
        assert (status, answer["jsonrpc"], answer["id"]) == (400, "2.0", 7), answer
        return answer["error"]["code"], answer["error"]["message"]

    @property
    def next_number(self) -> int:
        return self.chain.head.number + 1

    def fields(self, *transactions: SignedTransaction, **changes: Any) -> dict[str, Any]:
        return {"txs": [hex_of(one.raw) for one in transactions], "blockNumber": hex(self.next_number)} | changes


@pytest.fixture
async def relay(anvil: Anvil) -> AsyncIterator[Relay]:
    async with RpcClient(anvil.url) as rpc:
        await prepare_chain(rpc, "alice", "bob")
        chain = Chain(rpc)
        await chain.start(BLOCK_GAS_LIMIT)
        mempool = Mempool()
        api = FlashbotsApi(
            chain=chain,
            rpc=rpc,
            builders=(SWIFT, CLOSED),
            seed=0,
            now=lambda: NOON,
            submit_private=mempool.submit,
            withdraw_private=mempool.withdraw,
        )
        yield Relay(api, rpc, chain, mempool)


class TestAccess:
    """What every request must fulfil."""

    @pytest.mark.parametrize("name", [HEADER, HEADER.lower(), HEADER.upper()])
    async def test_the_header_is_found_in_any_case(self, relay: Relay, name: str) -> None:
        body = b'{"jsonrpc":"2.0","id":1,"method":"flashbots_getUserStatsV2","params":[]}'
        answer = await relay.api.handle("swift", {name: sign_body(body, account("alice").key)}, body)
        assert answer.status == 200

    @pytest.mark.parametrize("header", [{}, {HEADER: "0x:0x"}, {HEADER: sign_body(b"other", account("bob").key)}])
    async def test_a_request_without_a_valid_signature_is_forbidden(self, relay: Relay, header: dict[str, str]) -> None:
        answer = await relay.api.handle("swift", header, orjson.dumps(["eth_sendBundle"]))
        error = orjson.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (403, -32600)
        assert "signature" in error["message"]

    async def test_an_unknown_builder_is_not_found(self, relay: Relay) -> None:
        assert (await relay.ask("eth_sendBundle", {}, builder="nobody"))[0] == 404

    async def test_an_oversize_body_is_refused_before_it_is_read(self, relay: Relay) -> None:
        status, answer = await relay.post(b" " * (MAX_BODY_BYTES + 1))
        assert (status, answer["error"]["code"]) == (413, -32600)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", -32700),
            (b"{", -32700),
            (b"\xff", -32700),
            (b"[]", -32600),
            (b'[{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[]}]', -32600),
            (b"7", -32600),
            (b'{"id":1}', -32600),
            (b'{"id":1,"method":"eth_sendBundle","params":{}}', -32602),
        ],
    )
    async def test_a_malformed_body_is_refused(self, relay: Relay, body: bytes, code: int) -> None:
        status, answer = await relay.post(body)
        assert (status, answer["error"]["code"]) == (400, code)

    async def test_an_unknown_method_is_named(self, relay: Relay) -> None:
        code, message = await relay.error("eth_blockNumber")
        assert (code, message) == (-32601, "the method eth_blockNumber does not exist/is not available")

    async def test_a_chain_that_does_not_answer_is_our_fault_and_says_so(
        self, relay: Relay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def dead(*_: Any) -> Any:
            raise ChainFailed("anvil is gone")

        monkeypatch.setattr(relay.rpc, "batch", dead)
        status, answer = await relay.ask("eth_callBundle", relay.fields(transaction("alice")))
        assert (status, answer["error"]["code"]) == (500, -32603)
        assert "anvil is gone" in answer["error"]["message"]

    async def test_a_fault_of_ours_shows_no_inside(self, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay.api, "_now", None)
        status, answer = await relay.ask("flashbots_getUserStatsV2")
        assert (status, answer["error"]) == (500, {"code": -32603, "message": "internal error"})
        assert relay.api.counts["internal_errors"] == 1


class TestSendBundle:
    """`eth_sendBundle` and `eth_cancelBundle`."""

    async def test_a_bundle_is_taken_under_its_hash(self, relay: Relay) -> None:
        sent = [transaction("alice"), transaction("bob")]
        result = await relay.result("eth_sendBundle", relay.fields(*sent))
        assert result == {"bundleHash": hex_of(keccak256(sent[0].hash + sent[1].hash))}
        (held,) = relay.api.offered("swift", relay.next_number, NOON)
        assert held.transactions == tuple(sent)
        assert relay.api.offered("closed", relay.next_number, NOON) == ()

    async def test_a_refusal_has_code_and_reason_and_is_counted(self, relay: Relay) -> None:
        assert await relay.error("eth_sendBundle", {}) == (-32000, "bundle with no txs")
        assert await relay.error("eth_sendBundle") == (-32602, "missing params")
        assert relay.api.as_json()["bundle_no_transactions"] == 1

    async def test_a_builder_refuses_at_its_rate(self, relay: Relay) -> None:
        code, message = await relay.error("eth_sendBundle", relay.fields(transaction("alice")), builder="closed")
        assert (code, message) == (-32000, "this builder will not take the bundle: closed")

    async def test_a_signer_cancels_its_own_bundles_only(self, relay: Relay) -> None:
        fields = relay.fields(transaction("alice"), replacementUuid=UUID)
        sent = await relay.result("eth_sendBundle", fields)
        assert await relay.result("eth_cancelBundle", {"replacementUuid": UUID}, signer="bob") == []
        assert await relay.result("eth_cancelBundle", {"replacementUuid": UUID}) == [sent["bundleHash"]]
        assert relay.api.offered("swift", relay.next_number, NOON) == ()

    async def test_a_cancellation_without_a_uuid_is_refused(self, relay: Relay) -> None:
        assert await relay.error("eth_cancelBundle", {}) == (-32602, "replacementUuid must be a UUID")
        assert await relay.error("eth_cancelBundle") == (-32602, "missing params")

    async def test_bundles_of_a_published_block_are_gone_and_their_story_stays(self, relay: Relay) -> None:
        landed = await relay.result("eth_sendBundle", relay.fields(transaction("alice", value=ETHER)))
        missed = await relay.result("eth_sendBundle", relay.fields(transaction("bob", to=GRUMBLER)))
        context = await next_block(relay.rpc)
        bundles = relay.api.offered("swift", context.number, NOON)
        plan = await build_block(relay.rpc, context, bundles, [])
        relay.api.block_published(context.number, plan, "swift")
        assert relay.api.offered("swift", context.number, NOON) == ()
        name = {"bundleHash": landed["bundleHash"], "blockNumber": hex(context.number)}
        stats = await relay.result("flashbots_getBundleStatsV2", name)
        assert (stats["isSimulated"], stats["sealedByBuildersAt"][0]["pubkey"]) == (True, "swift")
        stats = await relay.result("flashbots_getBundleStatsV2", name | {"bundleHash": missed["bundleHash"]})
        assert (len(stats["consideredByBuildersAt"]), stats["sealedByBuildersAt"]) == (1, [])
        assert (await relay.result("flashbots_getBundleStats", name))["isSentToMiners"] is True
        figures = await relay.result("flashbots_getUserStatsV2", {"blockNumber": hex(context.number)})
        assert int(figures["last1dValidatorPayments"]) == plan.placed[0].payment > ETHER
        assert (await relay.result("flashbots_getUserStats", {}))["all_time_gas_simulated"] != "0"

    async def test_stats_of_a_malformed_name_are_refused(self, relay: Relay) -> None:
        assert (await relay.error("flashbots_getBundleStatsV2", {"bundleHash": "0x12", "blockNumber": "0x1"}))[
            0
        ] == -32602
        assert (await relay.error("flashbots_getBundleStatsV2", {"bundleHash": "0x" + "00" * 32}))[0] == -32602


class TestCallBundle:
    """`eth_callBundle`."""

    async def test_the_answer_has_the_fields_and_figures_of_the_real_relay(self, relay: Relay) -> None:
        paying = transaction("alice", value=ETHER, tip=2 * GWEI)
        plain = transaction("bob", to="0x" + "11" * 20, gas_limit=21_000)
        fields = relay.fields(paying, plain, stateBlockNumber="latest", timestamp=2_000_000_000)
        result = await relay.result("eth_callBundle", fields)
        first, second = result.pop("results")
        gas, fees = first["gasUsed"] + 21_000, first["gasUsed"] * 2 * GWEI + 21_000 * GWEI
        assert result == {
            "bundleGasPrice": str((ETHER + fees) // gas),
            "bundleHash": hex_of(keccak256(paying.hash + plain.hash)),
            "coinbaseDiff": str(ETHER + fees),
            "ethSentToCoinbase": str(ETHER),
            "gasFees": str(fees),
            "stateBlockNumber": relay.chain.head.number,
            "totalGasUsed": gas,
        }
        own_fees = first["gasUsed"] * 2 * GWEI
        assert first == {
            "coinbaseDiff": str(ETHER + own_fees),
            "ethSentToCoinbase": str(ETHER),
            "fromAddress": checksum_address(account("alice").address),
            "gasFees": str(own_fees),
            "gasPrice": str((ETHER + own_fees) // first["gasUsed"]),
            "gasUsed": first["gasUsed"],
            "toAddress": checksum_address(TIP_JAR),
            "txHash": hex_of(paying.hash),
            "value": "0x",
        }
        assert (second["gasUsed"], second["ethSentToCoinbase"], second["value"]) == (21_000, "0", "0x")

    async def test_a_revert_is_told_with_its_reason(self, relay: Relay) -> None:
        reverted, halted = transaction("alice", to=GRUMBLER), transaction("bob", to=BURNER)
        results = (await relay.result("eth_callBundle", relay.fields(reverted, halted)))["results"]
        assert (results[0]["error"], results[0]["revert"]) == ("execution reverted", "no deal")
        assert results[1]["error"] == "out of gas or invalid opcode"
        assert "revert" not in results[1]
        assert not any("value" in result for result in results)

    async def test_nothing_is_kept_or_mined(self, relay: Relay) -> None:
        fields = relay.fields(transaction("alice", to=TURNSTILE, data=slot(1)))
        assert await relay.result("eth_callBundle", fields) == await relay.result("eth_callBundle", fields)
        assert relay.api.offered("swift", relay.next_number, NOON) == ()

    async def test_an_older_state_can_be_asked_for(self, relay: Relay) -> None:
        older = relay.chain.head.number
        await relay.rpc.call("eth_sendRawTransaction", hex_of(transaction("alice").raw))
        await relay.rpc.call("evm_mine")
        await relay.chain.start(BLOCK_GAS_LIMIT)
        fields = relay.fields(transaction("alice"))
        assert "nonce too low" in (await relay.error("eth_callBundle", fields))[1]
        result = await relay.result("eth_callBundle", fields | {"stateBlockNumber": hex(older)})
        assert result["stateBlockNumber"] == older

    @pytest.mark.parametrize(
        ("sent", "message"),
        [
            ({"nonce": 1}, "err: nonce too high: tx: 1 state: 0; txhash 0x"),
            ({"fee_cap": 1, "tip": 0}, "err: max fee per gas less than block base fee: maxFeePerGas: 1"),
            ({"value": 101 * ETHER}, "err: a sender cannot pay value and gas: Insufficient funds"),
        ],
    )
    async def test_what_cannot_run_is_an_error_that_names_the_transaction(
        self, relay: Relay, sent: dict[str, Any], message: str
    ) -> None:
        odd = transaction("bob", **sent)
        code, told = await relay.error("eth_callBundle", relay.fields(transaction("alice"), odd))
        assert (code, told[: len(message)]) == (-32000, message)
        assert told.endswith(odd.hash.hex())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"txs": []}, "bundle with no txs"),
            ({"blockNumber": None}, "missing block param"),
            ({"stateBlockNumber": 5}, "block param must be a hex int"),
            ({"stateBlockNumber": "0xffff"}, "header not found"),
            ({"timestamp": "now"}, "timestamp must be an int"),
            ({"timestamp": -1}, "timestamp must be an int"),
        ],
    )
    async def test_malformed_fields_are_named(self, relay: Relay, changes: dict[str, Any], message: str) -> None:
        assert message in (await relay.error("eth_callBundle", relay.fields(transaction("alice")) | changes))[1]


class TestPrivateTransactions:
    """`eth_sendPrivateTransaction` and what goes with it."""

    async def test_it_goes_to_the_mempool_and_comes_back_by_its_signer(self, relay: Relay) -> None:
        sent = transaction("alice")
        assert await relay.result("eth_sendPrivateTransaction", {"tx": hex_of(sent.raw)}) == hex_of(sent.hash)
        assert await relay.result("eth_sendPrivateTransaction", {"tx": hex_of(sent.raw)}) == hex_of(sent.hash)
        assert list(relay.mempool.held) == [sent.hash]
        name = {"txHash": hex_of(sent.hash)}
        assert await relay.result("eth_cancelPrivateTransaction", name, signer="bob") is False
        assert await relay.result("eth_cancelPrivateTransaction", name) is True
        assert await relay.result("eth_cancelPrivateTransaction", name) is False
        assert not relay.mempool.held

    async def test_the_raw_form_takes_it_as_first_parameter(self, relay: Relay) -> None:
        sent = transaction("alice", to=None)
        assert await relay.result("eth_sendPrivateRawTransaction", hex_of(sent.raw)) == hex_of(sent.hash)
        assert (await relay.error("eth_sendPrivateRawTransaction"))[0] == -32602

    @pytest.mark.parametrize("form", [int, hex])
    async def test_it_is_withdrawn_after_its_last_block(self, relay: Relay, form: Any) -> None:
        sent, last = transaction("alice"), relay.next_number + 1
        fields = {"tx": hex_of(sent.raw), "maxBlockNumber": form(last)}
        await relay.result("eth_sendPrivateTransaction", fields)
        plan = await build_block(relay.rpc, await next_block(relay.rpc), [], [])
        relay.api.block_published(last - 1, plan, "swift")
        assert relay.mempool.held
        relay.api.block_published(last, plan, None)
        assert not relay.mempool.held
        assert relay.api.as_json()["private_expired"] == 1

    async def test_without_a_last_block_it_has_twenty_five(self, relay: Relay) -> None:
        await relay.result("eth_sendPrivateTransaction", {"tx": hex_of(transaction("alice").raw)})
        plan = await build_block(relay.rpc, await next_block(relay.rpc), [], [])
        relay.api.block_published(relay.chain.head.number + PRIVATE_BLOCKS - 1, plan, "swift")
        assert relay.mempool.held
        relay.api.block_published(relay.chain.head.number + PRIVATE_BLOCKS, plan, "swift")
        assert not relay.mempool.held

    async def test_what_the_mempool_refuses_is_refused(self, relay: Relay) -> None:
        relay.mempool.refuses = True
        fields = {"tx": hex_of(transaction("alice").raw)}
        assert await relay.error("eth_sendPrivateTransaction", fields) == (-32000, "transaction underpriced")
        relay.mempool.refuses = False
        assert await relay.result("eth_sendPrivateTransaction", fields)

    async def test_malformed_ones_are_refused(self, relay: Relay) -> None:
        wrong_chain = transaction("alice", chain_id=CHAIN_ID + 1)
        assert (await relay.error("eth_sendPrivateTransaction", {"tx": "0x00"}))[0] == -32000
        assert (await relay.error("eth_sendPrivateTransaction", {}))[0] == -32602
        assert "chain id" in (await relay.error("eth_sendPrivateTransaction", {"tx": hex_of(wrong_chain.raw)}))[1]
        passed = {"tx": hex_of(transaction("alice").raw), "maxBlockNumber": 0}
        assert "not in the future" in (await relay.error("eth_sendPrivateTransaction", passed))[1]
        assert (await relay.error("eth_cancelPrivateTransaction", {"txHash": 7}))[0] == -32602
