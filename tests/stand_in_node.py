"""A stand-in for `hftnode start`, to test the demo's frame: trades one simple way, and keeps a genuine ledger.

`python -m tests.stand_in_node BEHAVIOUR --config FILE`. Behaviours: `trades`; `idles` without a ledger; `fails` at
once. It takes the best WETH cycle of each vault at the start of a block, out of the Safe's own funds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from devnet.accounts import account
from devnet.actors.gateway import Gateway
from devnet.demo.hindsight_pools import swap
from devnet.demo.hindsight_reading import read_states, universe
from devnet.demo.hindsight_search import Market, Take, Terms, best_disjoint
from devnet.home import Home
from devnet.manifest import Manifest, Pool
from devnet.rpc import RpcClient
from devnet.run_folder import RunFolder
from devnet.state import StateStore
from governance.executor import BalancerHop, ConcentratedHop, Hop, PairHop, PairVenue, Plan, encode_execution
from node.config import Config
from node.config_file import load_config
from node.desk.ledger.ledger import Ledger, open_ledger
from node.keyfile import read_keystore, read_password
from node.link import LedgerEntry
from node.pipeline.reasons import Reason
from node.records import (
    AnyRecord,
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    Leg,
    OpportunityFound,
    SignedExecution,
    encode_record,
)
from node.run_file import ProcessRecord, RunRecord, run_lock, write_run
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Address, BlockNumber, Gas, Hash32, TokenAmount, UnixMilliseconds, UnixNanoseconds, Wei

GAS_LIMIT = 900_000
TIP = 10**8
_SECONDS = 0.5


def raw(text: str) -> Any:
    return bytes.fromhex(text[2:])


class StandIn:
    """One node. `keys`: the vaults' hot keys, in the order of the configuration."""

    def __init__(
        self, config: Config, manifest: Manifest, keys: list[SigningKey], ledger: Ledger, rpc: RpcClient, gate: Gateway
    ) -> None:
        self.config, self.manifest, self.keys, self.ledger, self.rpc, self.gate = (
            *(config, manifest, keys),
            *(ledger, rpc, gate),
        )
        seen = universe(manifest)
        self.market = Market(seen.tokens, {"WETH": seen.worth["WETH"]})
        self.pools = {pool.name: pool for pool in manifest.pools}
        self.waiting: list[tuple[OpportunityFound, SignedExecution]] = []

    async def tell(self, record: AnyRecord) -> None:
        kind, body = encode_record(record)
        entry = LedgerEntry(
            sequence=self.ledger.last_sequence + 1, at=UnixMilliseconds(time.time_ns() // 10**6), kind=kind, body=body
        )
        await self.ledger.append([entry])

    async def settle(self, head: int) -> None:
        """Tell what became of what was sent for blocks up to the head."""
        for found, sent in [pair for pair in self.waiting if pair[0].target_block <= head]:
            self.waiting.remove((found, sent))
            receipt = await self.rpc.call("eth_getTransactionReceipt", "0x" + sent.transaction_hash.hex())
            if receipt is None or receipt["status"] != "0x1":
                await self.tell(
                    ExecutionMissedRecord(
                        opportunity_id=found.opportunity_id,
                        block=found.target_block,
                        reason=Reason.OUTBID,
                        lost_to=None,
                        spent_wei="0",
                    )
                )
                continue
            executed = next(log for log in receipt["logs"] if log["address"] == self.module and len(log["topics"]) == 3)
            gas = int(receipt["gasUsed"], 16)
            price = int(receipt["effectiveGasPrice"], 16)
            await self.tell(
                ExecutionLandedRecord(
                    opportunity_id=found.opportunity_id,
                    transaction_hash=sent.transaction_hash,
                    block=found.target_block,
                    block_hash=Hash32(raw(receipt["blockHash"])),
                    profit=str(int(executed["data"][66:130], 16)),
                    gas_used=Gas(gas),
                    gas_wei=str(gas * price),
                    bid_wei=str(gas * TIP + int(sent.coinbase_wei)),
                )
            )

    @property
    def module(self) -> str:
        return self.manifest.contracts["vault_module"]

    async def block(self, head: int) -> None:
        """Settle, then send a bundle a vault for the next block."""
        await self.settle(head)
        states = await read_states(self.rpc, self.manifest, head)
        header = await self.rpc.call("eth_getBlockByNumber", hex(head), False)
        terms = Terms(int(header["baseFeePerGas"], 16) * 2)
        takes = best_disjoint(self.market.takes(states, terms, list(states)))
        for place, take in enumerate(takes[: len(self.keys)]):
            await self.send(place, take, states, head)

    async def send(self, place: int, take: Take, states: Any, head: int) -> None:
        key, vault = self.keys[place], self.config.execution.vaults[place]
        amount, legs, hops = take.amount, list[Leg](), list[Hop]()
        for leg in take.legs:
            out, _ = swap(states[leg.pool], leg.index_in, leg.index_out, amount)
            pool = self.pools[leg.pool]
            into, outof = (self.manifest.token(pool.tokens[i]).address for i in (leg.index_in, leg.index_out))
            pool_id = raw(pool.pool_id or pool.address)
            legs.append(
                Leg(
                    pool_id=pool_id,
                    family=pool.family,
                    token_in=raw(into),
                    token_out=raw(outof),
                    amount_in=str(amount),
                    amount_out=str(out),
                )
            )
            hops.append(self.hop(pool, raw(outof), pool_id))
            amount = out
        gross = amount - take.amount
        bid = gross * 6 // 10
        weth = raw(self.manifest.token("WETH").address)
        plan = Plan(
            last_block=BlockNumber(head + 1),
            minimum_profit=TokenAmount(1),
            builder_payment=Wei(bid),
            loan=None,
            hops=tuple(hops),
        )
        nonce = int(await self.rpc.call("eth_getTransactionCount", key.address, "latest"), 16)
        fields = DynamicFeeFields(
            chain_id=self.config.chain.id,
            nonce=nonce,
            max_priority_fee_per_gas=TIP,
            max_fee_per_gas=100 * 10**9,
            gas_limit=GAS_LIMIT,
            to=self.module,
            value=0,
            data=encode_execution(vault.safe, weth, TokenAmount(take.amount), plan),
        )
        signed = sign_dynamic_fee(fields, key)
        identity = Hash32(keccak256(signed + b"opportunity"))
        found = OpportunityFound(
            opportunity_id=identity,
            opportunity_kind="cyclic_arbitrage",
            target_block=BlockNumber(head + 1),
            seen_at=UnixNanoseconds(time.time_ns()),
            victims=(),
            legs=tuple(legs),
            lender="vault",
            borrowed=str(take.amount),
            flash_fee="0",
            profit_token=weth,
            gross_profit=str(gross),
            gross_profit_wei=str(gross),
            gas=Gas(300_000),
        )
        execution = SignedExecution(
            opportunity_id=identity,
            transaction_hash=Hash32(keccak256(signed)),
            sender=Address(raw(key.address)),
            nonce=nonce,
            predicted_profit=str(gross - bid),
            minimum_profit="1",
            coinbase_wei=str(bid),
            priority_fee_per_gas=str(TIP),
            gas_limit=Gas(GAS_LIMIT),
        )
        bundle = BundleSigned(
            bundle_hash=Hash32(keccak256(signed + b"bundle")),
            target_block=BlockNumber(head + 1),
            victims=(),
            executions=(execution,),
            signed_at=UnixNanoseconds(time.time_ns()),
            tick_to_bundle_ns=250_000,
        )
        await self.tell(found)
        await self.tell(bundle)
        self.waiting.append((found, execution))
        name = self.config.name
        await self.gate.send_bundle([signed], head + 1, name, account(f"{name}-relay-identity"))

    def hop(self, pool: Pool, token_out: Any, pool_id: bytes) -> Hop:
        least = TokenAmount(1)
        if pool.family == "uniswap_v3":
            return ConcentratedHop(token_out=token_out, fee_pips=pool.fee_pips, minimum_out=least)
        if pool.family.startswith("balancer"):
            return BalancerHop(token_out=token_out, pool_id=pool_id, minimum_out=least)
        venue = PairVenue.UNISWAP_V2 if pool.family == "uniswap_v2" else PairVenue.SUSHI_SWAP
        return PairHop(venue=venue, token_out=token_out, minimum_out=least)

    async def play(self) -> None:
        """Follow the chain until cancelled, in lockstep where the configuration says so."""
        if self.config.lockstep is None:
            head = 0
            while True:
                now = int(await self.rpc.call("eth_blockNumber"), 16)
                if now != head:
                    head = now
                    await self.block(head)
                await asyncio.sleep(0.05)
        name = self.config.lockstep.participant
        block = int((await self.rpc.call("devnet_join", name, 1))["block"])
        while True:
            at = await self.rpc.call("devnet_awaitStage", block, 1, _SECONDS)
            await self.settle(int(await self.rpc.call("eth_blockNumber"), 16))
            if (at["block"], at["stage"]) == (block, 1):
                await self.block(block - 1)
                await self.rpc.call("devnet_barrier", name, block, 1)
                block += 1


async def main(behaviour: str, path: Path) -> None:
    if behaviour == "fails":
        sys.exit("a stand-in that fails at once")
    config = load_config(path, os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    manifest = StateStore(Path(_record(path).manifest_path).parent)
    password = read_password(Path(os.environ["HFTNODE_PASSWORD_FILE"]))
    keys = [SigningKey(read_keystore(vault.keystore, password)) for vault in config.execution.vaults]
    with run_lock(config.run_folder):
        async with AsyncExitStack() as parts:
            tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
            if behaviour == "trades":
                stored = manifest.load(print)
                assert stored is not None
                rpc = await parts.enter_async_context(RpcClient(config.chain.rpcs[0].http, deadline_seconds=90))
                builders = {relay.name: relay.url for relay in config.relays}
                lockstep = config.lockstep is not None
                gate = await parts.enter_async_context(Gateway(config.chain.rpcs[0].http, builders, lockstep=lockstep))
                ledger = await open_ledger(config.ledger_path)
                parts.push_async_callback(ledger.close)
                node = StandIn(config, stored.manifest, keys, ledger, rpc, gate)
                tasks.append(asyncio.create_task(node.play()))
            told = ProcessRecord(state="ready", pid=os.getpid())
            now = UnixMilliseconds(time.time_ns() // 10**6)
            processes = {"engine": told}
            write_run(
                config.run_folder,
                RunRecord(name=config.name, mode="live", pid=os.getpid(), started_at=now, processes=processes),
            )
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            for task in done:
                task.result()


def _record(path: Path) -> Any:
    """The devnet that this node belongs to: `run/demo/NAME/hftnode.toml` lies in its run folder."""
    record = RunFolder(Home(path.absolute().parents[3]).run).read()
    assert record is not None
    return record


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("behaviour")
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(main(options.behaviour, options.config))
