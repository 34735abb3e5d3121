"""From a pending transaction's JSON to a signed bundle, on the committed market of `market_generator`, without an EVM;
then on the devnet's own market, without and with one (`hotpath_devnet`).

In: the JSON object of `eth_subscribe newPendingTransactions`. Out: the bytes of `eth_sendBundle` and its signature
header, one of our transactions and one relay signature over a body that all relays share. Irrelevant transactions go to
no router; relevant ones are swaps of 3 percent of a pool, of which those count here behind which there is something to
take. The floor, measured in turn with each backrun, is two secp256k1 signatures.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import orjson

from benchmarks import hotpath_devnet
from benchmarks.harness import Row, Samples, duration_row, quiet_collector
from benchmarks.hotpath_timing import WARM_UP, Timing, backrun, backrun_rows, reset, timed
from benchmarks.market_generator import (
    CHAIN_ID,
    GWEI,
    LENDER,
    NOW,
    SEED,
    VAULT_MODULE,
    GeneratedMarket,
    first_block,
    generate,
    opening,
    router_of,
    settings_of,
)
from devnet.actors import calls
from node.engine import collector
from node.engine.call_data import VaultCallData
from node.engine.signer import Signer, SigningLimits
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.events import BlockArrived
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.prices import virtual_reserves
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, decode_transaction, sign_dynamic_fee, to_rpc
from protocol.units import BlockNumber, Hash32, UnixNanoseconds, Wei, address_from_hex, address_to_hex

BACKRUNS: Final = 400
IRRELEVANT: Final = 2_000
STOCK: Final = 2_000
"""Swaps that are made before anything is measured: a node does not sign the traders' transactions."""
UNTIL_STOCK: Final = 200
SUSTAINED_PER_SECOND: Final = 1_000
SUSTAINED_SECONDS: Final = 60
BLOCK_SECONDS: Final = 12
RELEVANT_SHARE: Final = 0.1
_PART_OF_POOL: Final = 0.03
_SECONDS: Final = 1e-9
_SECRET: Final = keccak256(b"the benchmark's hot key")
_HOT_KEY: Final = SigningKey(_SECRET)
_SIGNER: Final = Signer(_SECRET, SigningLimits(CHAIN_ID, VAULT_MODULE, Wei(10**24)))


def run() -> Sequence[Row]:
    """Measure every row; the count of cycles goes to the error output. Raises DevnetError."""
    thresholds = gc.get_threshold()
    try:
        packages, world = asyncio.run(hotpath_devnet.prepare())
        return [*_measured(Bench(generate())), *asyncio.run(hotpath_devnet.measure(packages, world))]
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _measured(bench: Bench) -> list[Row]:
    memory = _resident_megabytes()
    cycles = bench.state.market.index.cycles
    print(f"{len(bench.market.pools):,} pools, {len(cycles):,} cycles of 2 and 3 hops", file=sys.stderr)
    rows = [Row(f"resident memory with {len(bench.market.pools):,} pools", "MB", memory, memory), *_irrelevant(bench)]
    for name, families in (
        ("V2 backrun", (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)),
        ("V3 backrun", (PoolFamily.UNISWAP_V3,)),
    ):
        rows += _backruns(bench, name, families)
    return [*rows, *_sustained(bench)]


class Bench:
    """A pipeline that knows the market, and traders who swap on it."""

    def __init__(self, market: GeneratedMarket) -> None:
        self.market = market
        sender = address_from_hex(_HOT_KEY.address)
        self.settings = settings_of(market, [sender])
        self.state = PipelineState(self.settings, VaultCallData({sender: LENDER}))
        self._random = Random(SEED)
        self._nonce = 0
        for event in opening(market, [sender]):
            step(self.state, event)
        collector.settle()

    def swap_json(self, families: Sequence[PoolFamily]) -> bytes:
        """The JSON of a swap of 3 percent of a pool, on a pool of one of the families."""
        while True:
            spec, state = self._random.choice(self.market.pools)
            if spec.family in families:
                return self._json(address_to_hex(router_of(spec)), self._swap(spec, state))

    def transfer_json(self) -> bytes:
        """The JSON of a token transfer."""
        token = address_to_hex(self._random.choice(self.market.tokens))
        return self._json(token, bytes.fromhex("a9059cbb") + self._random.randbytes(64))

    def _swap(self, spec: PoolSpec, state: PoolState) -> bytes:
        into = self._random.randrange(2)
        amount = max(1, int(virtual_reserves(state, into, 1 - into)[0] * _PART_OF_POOL))
        path = [address_to_hex(spec.tokens[into]), address_to_hex(spec.tokens[1 - into])]
        deadline = NOW // 10**9 + 600
        if isinstance(state, ConcentratedPool):
            return calls.v3_exact_in(amount, 0, path, [spec.fee_pips], path[0], deadline)
        return calls.v2_exact_in(amount, 0, path, path[0], deadline, odd=False)

    def _json(self, to: str, data: bytes) -> bytes:
        self._nonce += 1
        fields = DynamicFeeFields(
            chain_id=CHAIN_ID,
            nonce=0,
            max_priority_fee_per_gas=GWEI,
            max_fee_per_gas=30 * GWEI,
            gas_limit=250_000,
            to=to,
            data=data,
        )
        key = SigningKey(keccak256(b"trader %d" % self._nonce))
        return orjson.dumps(to_rpc(decode_transaction(sign_dynamic_fee(fields, key), recover=False)))


def _resident_megabytes() -> float:
    """What the process holds in memory, numba's compiler and the other benchmarks' modules included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _backruns(bench: Bench, name: str, families: Sequence[PoolFamily]) -> list[Row]:
    timing = Timing()
    fruitless: Samples = []
    bodies = [bench.swap_json(families) for _ in range(STOCK)]
    with quiet_collector():
        for raw in cycle(bodies):
            if len(timing.whole) == BACKRUNS + WARM_UP:
                break
            reset(bench.state)
            begun = time.perf_counter_ns()
            if not backrun(bench.state, _SIGNER, raw, NOW, timing):
                fruitless.append((time.perf_counter_ns() - begun) * _SECONDS)
                continue
            timing.take_floor(_HOT_KEY, _SIGNER.identity)
    rows = backrun_rows(name, timing)
    if fruitless:
        rows.append(duration_row(f"{name.split()[0]} swap, nothing behind it", "µs", fruitless))
    return rows


def backruns_until(bench: Bench, end: float) -> Samples:
    """Return the seconds of V2 backruns, from JSON to signed bundle, one after the other until `end` (monotonic)."""
    timing = Timing()
    bodies = [bench.swap_json((PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)) for _ in range(UNTIL_STOCK)]
    with quiet_collector():
        for raw in cycle(bodies):
            if time.monotonic() >= end:
                break
            reset(bench.state)
            backrun(bench.state, _SIGNER, raw, NOW, timing)
    return timing.whole[WARM_UP:]


def _irrelevant(bench: Bench) -> list[Row]:
    bodies = [bench.transfer_json() for _ in range(IRRELEVANT)]
    samples: Samples = []
    with quiet_collector():
        for raw in bodies:
            samples.append(timed(lambda raw=raw: backrun(bench.state, _SIGNER, raw, NOW, Timing())))  # type: ignore[misc]
    return [
        duration_row("irrelevant transaction", "µs", samples),
        duration_row(f"irrelevant: the slowest of {len(samples)}", "µs", [max(samples)]),
    ]


class _Pauses:
    """Measures the collector's pauses."""

    def __init__(self) -> None:
        self.seconds: Samples = [0.0]
        self._begun = 0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter_ns()
        else:
            self.seconds.append((time.perf_counter_ns() - self._begun) * _SECONDS)


def _sustained(bench: Bench) -> list[Row]:
    """1,000 pending transactions a second for a minute, a tenth of them swaps, a block every twelve seconds.

    A sample is the time from when a transaction was due until it was done with: waiting counts.
    """
    reset(bench.state)
    random, total = Random(SEED), SUSTAINED_PER_SECOND * SUSTAINED_SECONDS
    stock = [bench.transfer_json() for _ in range(STOCK)]
    swaps = [bench.swap_json(tuple(PoolFamily)) for _ in range(STOCK)]
    bodies = [random.choice(swaps if random.random() < RELEVANT_SHARE else stock) for _ in range(total)]
    pauses, timing, samples = _Pauses(), Timing(), []
    gc.callbacks.append(pauses)
    try:
        begun = time.perf_counter_ns()
        for number, raw in enumerate(bodies):
            due = begun + number * 10**9 // SUSTAINED_PER_SECOND
            while time.perf_counter_ns() < due:
                time.sleep(max(0, due - time.perf_counter_ns() - 50_000) * _SECONDS)
            backrun(bench.state, _SIGNER, raw, UnixNanoseconds(NOW + number * 10**6), timing)
            samples.append((time.perf_counter_ns() - due) * _SECONDS)
            if number % (BLOCK_SECONDS * SUSTAINED_PER_SECOND) == 0 and number:
                step(bench.state, _next_block(bench.state))
                collector.tidy()
    finally:
        gc.callbacks.remove(pauses)
    dropped = bench.state.book.overflowed
    print(f"sustained: {len(samples):,} seen, {len(timing.whole):,} bundles, {dropped} dropped", file=sys.stderr)
    name = f"{SUSTAINED_PER_SECOND:,}/s for {SUSTAINED_SECONDS} s"
    ten_seconds = 10 * SUSTAINED_PER_SECOND
    return [
        duration_row(f"{name}: due until done with, {dropped} dropped", "µs", samples),
        duration_row(f"{name}: the first ten seconds", "µs", samples[:ten_seconds]),
        duration_row(f"{name}: the last ten seconds", "µs", samples[-ten_seconds:]),
        duration_row(f"{name}: of those, bundles", "µs", timing.whole),
        duration_row(f"{name}: pauses of the garbage collector, and the longest", "µs", [max(pauses.seconds)]),
    ]


def _next_block(state: PipelineState) -> BlockArrived:
    """A block that has everything pending, and leaves the pools as they are."""
    head = state.blocks.head or first_block()
    return msgspec.structs.replace(
        head,
        number=BlockNumber(head.number + 1),
        hash=Hash32(keccak256(head.hash)),
        parent_hash=head.hash,
        included=tuple(Hash32(pending.transaction.hash) for pending in state.book),
        now=state.now,
    )
