"""The hot path on the devnet's own market, without and with the bundle run in our own EVM before it is signed.

The engine's chain feed reads the world's 41 pools and screens its tokens from an Anvil; traders' swaps are a part of a
pool, on each pool in both directions. A swap counts if there is something to take behind it, and if our own EVM runs
that bundle clean: on the deepest pools a swap is more than the trader has, and reverts. Before anything is measured
the simulator reads what each bundle touches, as it does in the engine: what is measured is a bundle on known state, and
one that the simulator hands to the node fails the benchmark. The bundles are few, and come again and again.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

import msgspec
import orjson

from benchmarks.devnet_market import DevnetMarket, devnet_market
from benchmarks.harness import Row, quiet_collector
from benchmarks.hotpath_timing import (
    BUILD,
    READ,
    SIGN,
    WARM_UP,
    WRITE,
    Timing,
    backrun,
    backrun_rows,
    first_approved,
    reset,
    sign_and_write,
)
from devnet.accounts import account
from devnet.actors import calls
from devnet.anvil import Anvil, AnvilOptions
from devnet.errors import ChainFailed
from devnet.home import Home
from devnet.manifest import Manifest
from devnet.packages import Packages, ensure_packages
from devnet.rpc import RpcClient
from devnet.world import World, ensure_world
from node.engine import collector
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.events import Effect, PendingTransactionSeen, SimulateBundle
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.prices import virtual_reserves
from node.pipeline.step import step
from protocol.ethereum.hot_path import pending_from_json
from protocol.ethereum.transactions import DynamicFeeFields, decode_transaction, sign_dynamic_fee, to_rpc
from protocol.units import address_to_hex

BACKRUNS: Final = 400
AIM_WITH_EVM: Final = "1 / 4 ms"
V2_FAMILIES: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)
V3_FAMILIES: Final = (PoolFamily.UNISWAP_V3,)
_PARTS_OF_POOL: Final = (0.01, 0.03)
_TRADER: Final = "whale-0"
_GWEI: Final = 10**9
_GAS_LIMIT: Final = 400_000
_DEADLINE_SECONDS: Final = 10**6
_SIMULATE: Final = "run the bundle in our own EVM"
_JUDGE: Final = "judge what it brings"
_STEPS: Final = (READ, BUILD, _SIMULATE, _JUDGE, SIGN, WRITE)
_ROUTERS: Final = {
    PoolFamily.UNISWAP_V2: "uniswap_v2_router",
    PoolFamily.SUSHI_V2: "sushi_router",
    PoolFamily.UNISWAP_V3: "uniswap_v3_router",
}


async def prepare() -> tuple[Packages, World]:
    """Return the packages and the world, made first where they are not there. Raises DevnetError."""

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    home = Home.from_environment()
    packages = await asyncio.to_thread(ensure_packages, home, say)
    return packages, await ensure_world(home, packages, say)


async def measure(packages: Packages, world: World) -> list[Row]:
    """Measure every row. Raises DevnetError."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        options = AnvilOptions(load_state=world.state_path)
        async with (
            Anvil(packages.anvil, options, Path(folder) / "anvil.log") as anvil,
            devnet_market(anvil.url, world.manifest, Path(folder)) as market,
            RpcClient(anvil.url) as rpc,
        ):
            nonce = int(await rpc.call("eth_getTransactionCount", account(_TRADER).address, "latest"), 16)
            bench = _Bench(world.manifest, market, nonce)
            learnt = {
                name: await bench.learn(families)
                for name, families in (("V2 backrun", V2_FAMILIES), ("V3 backrun", V3_FAMILIES))
            }
            collector.settle()
            for name, bodies in learnt.items():
                rows += backrun_rows(f"{name}, devnet", bench.without_evm(bodies))
            for name, bodies in learnt.items():
                rows += backrun_rows(f"{name}, devnet, with pyrevm", await bench.with_evm(bodies), AIM_WITH_EVM)
    return rows


class _Bench:
    """Both pipelines, and one trader's swaps, each with the trader's next nonce: only one of them is ever pending."""

    def __init__(self, manifest: Manifest, market: DevnetMarket, nonce: int) -> None:
        self._manifest, self._market, self._nonce = manifest, market, nonce
        self._plain, self._checked, self._simulator = market.plain, market.checked, market.simulator

    async def learn(self, families: Sequence[PoolFamily]) -> list[bytes]:
        """Return the JSON of the swaps behind which our own EVM runs a bundle clean, all that they touch known."""
        bodies = self._swaps(families)
        asked = 0
        for raw in bodies:
            if (question := self._question(raw)) is not None:
                asked += 1
                await self._simulator.simulate(question)
                await self._simulator.own_evm.settled()
        near = self._simulator.counts["near_limit"]
        clean = [raw for raw in bodies if await self._through_evm(raw, Timing())]
        near = self._simulator.counts["near_limit"] - near
        print(
            f"devnet: {len(bodies)} swaps, {asked} bundles behind them: {len(clean)} clean in our own EVM, "
            f"{near} too near their gas limit for it, {asked - len(clean) - near} reverting",
            file=sys.stderr,
        )
        if not clean:
            raise ChainFailed(f"no bundle ran in our own EVM: {dict(self._simulator.counts)}")
        return clean

    def without_evm(self, bodies: Sequence[bytes]) -> Timing:
        """Measure without the EVM."""
        timing = Timing()
        with quiet_collector():
            for raw, _ in zip(cycle(bodies), range(BACKRUNS + WARM_UP), strict=False):
                reset(self._plain)
                if not backrun(self._plain, self._market.signer, raw, self._plain.now, timing, self._nonce):
                    raise ChainFailed("a backrun that was there is not there any more")
                self._take_floor(timing)
        return timing

    async def with_evm(self, bodies: Sequence[bytes]) -> Timing:
        """Measure with the EVM."""
        timing = Timing()
        with quiet_collector():
            for raw, _ in zip(cycle(bodies), range(BACKRUNS + WARM_UP), strict=False):
                if not await self._through_evm(raw, timing):
                    raise ChainFailed(f"a bundle did not run in our own EVM: {dict(self._simulator.counts)}")
                self._take_floor(timing)
        return timing

    def _take_floor(self, timing: Timing) -> None:
        timing.take_floor(self._market.hot_key, self._market.signer.identity)

    async def _through_evm(self, raw: bytes, timing: Timing) -> bool:
        """Run one pending transaction through everything; True, with its samples, if a bundle ran clean in our EVM."""
        reset(self._checked)
        before = self._simulator.counts["own_evm"]
        begun = time.perf_counter_ns()
        transaction = pending_from_json(raw, self._checked.routers)
        read = time.perf_counter_ns()
        if transaction is None:
            return False
        question = _first_question(
            step(self._checked, PendingTransactionSeen(transaction, self._checked.now, self._nonce))
        )
        built = time.perf_counter_ns()
        if question is None:
            return False
        answer = await self._simulator.simulate(question)
        run = time.perf_counter_ns()
        approved = first_approved(step(self._checked, msgspec.structs.replace(answer, now=self._checked.now)))
        judged = time.perf_counter_ns()
        if approved is None or self._simulator.counts["own_evm"] != before + 1:
            return False
        timing.take(_STEPS, (begun, read, built, run, judged, *sign_and_write(approved, self._market.signer)))
        return True

    def _question(self, raw: bytes) -> SimulateBundle | None:
        reset(self._checked)
        transaction = pending_from_json(raw, self._checked.routers)
        return (
            None
            if transaction is None
            else _first_question(
                step(self._checked, PendingTransactionSeen(transaction, self._checked.now, self._nonce))
            )
        )

    def _swaps(self, families: Sequence[PoolFamily]) -> list[bytes]:
        """The JSON of swaps on every pool of the families that is synced, in both directions."""
        market = self._plain.market
        return [
            self._json(spec, self._call_data(spec, state, into, int(virtual_reserves(state, into, 1 - into)[0] * part)))
            for spec in market.specs
            if spec.family in families and (state := market.state_of(spec.id)) is not None
            for into in (0, 1)
            for part in _PARTS_OF_POOL
        ]

    def _call_data(self, spec: PoolSpec, state: PoolState, into: int, amount: int) -> bytes:
        path, trader = [address_to_hex(spec.tokens[into]), address_to_hex(spec.tokens[1 - into])], account(_TRADER)
        deadline = self._manifest.block_timestamp + _DEADLINE_SECONDS
        if isinstance(state, ConcentratedPool):
            return calls.v3_exact_in(amount, 0, path, [spec.fee_pips], trader.address, deadline)
        return calls.v2_exact_in(amount, 0, path, trader.address, deadline, odd=False)

    def _json(self, spec: PoolSpec, data: bytes) -> bytes:
        fields = DynamicFeeFields(
            chain_id=self._manifest.chain_id,
            nonce=self._nonce,
            max_priority_fee_per_gas=_GWEI,
            max_fee_per_gas=100 * _GWEI,
            gas_limit=_GAS_LIMIT,
            to=self._manifest.contracts[_ROUTERS[spec.family]],
            data=data,
        )
        raw = sign_dynamic_fee(fields, account(_TRADER).key)
        return orjson.dumps(to_rpc(decode_transaction(raw, recover=False)))


def _first_question(effects: Sequence[Effect]) -> SimulateBundle | None:
    return next((effect for effect in effects if isinstance(effect, SimulateBundle)), None)
