"""What executions cost in gas, as transactions on the devnet's world: the same cycles in one run, contract by contract.

Peers are a plain contract of ours that calls the protocols' routers one after the other (benchmarks/contracts): once
with an exact approval for each hop, as our executor has, and once with standing approvals, which cost less and are
there for ever; and `V2ArbBot`, the published executor of solidquant/mev-templates, compiled here from its own sources.
Those are not in this repository: unpack its `contracts` into `<home>/peers/mev-templates`; without it the row says so.

In the rows with a vault each contract stands behind the same module and the same Safe: draw, cycle, pull, all of it.
In the others it holds what it trades with; our executor's caller has sent the amount before, to the first pair, and is
allowed to pull what comes out: that allowance (some 25,000 gas) is in ours alone, and the first transfer in theirs. Gas
is the receipt's: with 21,000 and the call data. Each contract has run each cycle once before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks.gas_orders import order_gas
from benchmarks.gas_routes import AMOUNT, Route, ours, plain, plain_plan, plan_of, published, routes
from benchmarks.gas_scene import OPERATOR, WHALE, Scene, raw, scene
from benchmarks.gas_vaults import Vault, fill_safe, open_vault
from benchmarks.harness import Row
from devnet.accounts import Account
from devnet.protocols.venue_bindings import executor_bindings
from devnet.solidity import Build, compile_build, gather_sources
from governance.contracts import executor_creation
from governance.executor import encode_plan
from protocol.ethereum.abi import decode, encode, encode_call
from protocol.units import Address

_CONTRACTS: Final = Path(__file__).parent / "contracts"
_PEER: Final = "V2ArbBot"
_NOT_MEASURED: Final = "not measured"
_TRANSFER: Final = "transfer(address,uint256)"
_ENTRY: Final = "entryOf(address,bytes)"
_PULL: Final = "transferFrom(address,address,uint256)"
_NO_ROUTER: Final = "no router here to call"
_PLAIN: Final = {False: "plain", True: "plain, standing approvals"}


async def run() -> Sequence[Row]:
    """Measure every cycle on every contract that can run it."""
    async with scene() as chain:
        order = await order_gas(chain)  # first: the operators of the world are checked in for its next epoch only
        bench = Bench(chain)
        await bench.deploy()
        whole = [row for route in routes(chain) for row in await bench.vault_rows(route)]
        alone: list[Row] = []
        for route in routes(chain):
            alone += await bench.rows(route, borrowed=False)
            if route.is_of_pairs:
                alone += await bench.rows(route, borrowed=True)
        return [*whole, order, *alone, *_call_data_rows(chain)]


class Bench:
    """The contracts that are measured, each with what it needs."""

    def __init__(self, chain: Scene) -> None:
        self._chain = chain
        self._executor = ""
        self._plain: dict[bool, str] = {}
        self._published: str | None = None
        self._vaults: list[Vault] = []
        """Ours first, then the plain contract's: with exact and with standing approvals."""

    async def deploy(self) -> None:
        """Create the contracts, give each WETH, open the vaults, and let every contract run every cycle once."""
        chain, weth = self._chain, self._chain.token("WETH")
        bindings = executor_bindings(chain.manifest.contracts)
        code = _compiled(chain, "PlainArbitrage", lambda unit: _own(chain, unit), "PlainArbitrage.sol")
        self._executor = await chain.create(executor_creation(replace(bindings, module=raw(OPERATOR.address))))
        await fill_safe(chain)
        self._vaults = [await open_vault(chain, lambda module: executor_creation(replace(bindings, module=module)))]
        for standing in _PLAIN:
            creation = code + encode(("bool",), (standing,))
            self._plain[standing] = await chain.create(creation)
            self._vaults.append(await open_vault(chain, partial(_same, creation)))
        folder = chain.home.root / "peers" / "mev-templates" / "contracts"
        if folder.is_dir():
            peer = _compiled(chain, _PEER, lambda unit: _peers(folder, unit), f"src/{_PEER}.sol")
            self._published = await chain.create(peer + encode(("address", "address"), (OPERATOR.address, weth)))
        for holder in (*self._plain.values(), self._published):
            if holder is not None:
                await chain.call(WHALE, weth, _TRANSFER, holder, 5 * AMOUNT)
        for route in routes(chain):
            await self._run_once(route)

    async def _run_once(self, route: Route) -> None:
        chain = self._chain
        for borrowed in (False, True) if route.is_of_pairs else (False,):
            for prepared in await self._ready(route, borrowed=borrowed):
                await chain.send(*prepared)
            block = await chain.head() + 1
            await chain.send(OPERATOR, self._executor, ours(chain, OPERATOR.address, route, block, borrowed=borrowed))
            await self._pull_back()
            for place in self._plain.values() if route.is_plain else ():
                await chain.send(OPERATOR, place, plain(chain, route, borrowed=borrowed))
            if self._published is not None and route.is_of_pairs:
                await chain.send(OPERATOR, self._published, published(chain, route, borrowed=borrowed))
        for vault, plan in await self.vault_runs(route):
            await chain.send(OPERATOR, vault.module, vault.call(plan))

    async def vault_runs(self, route: Route) -> list[tuple[Vault, bytes]]:
        """Return the vaults that can run a cycle, ours first, each with its plan in the executor's own words."""
        block = await self._chain.head() + 1
        own, *others = self._vaults
        runs = [(own, encode_plan(plan_of(route, block, borrowed=False)))]
        return runs + [(vault, plain_plan(self._chain, route)) for vault in others if route.is_plain]

    async def _ready(self, route: Route, *, borrowed: bool) -> list[tuple[Account, str, bytes]]:
        if borrowed:
            return []
        chain, weth = self._chain, self._chain.token("WETH")
        packed = encode_plan(plan_of(route, 1, borrowed=False))
        question = {"to": self._executor, "data": "0x" + encode_call(_ENTRY, weth, packed).hex()}
        (entry,) = decode(["address"], bytes.fromhex((await chain.rpc.call("eth_call", question, "latest"))[2:]))
        return [(WHALE, weth, encode_call(_TRANSFER, entry, AMOUNT))]

    async def _pull_back(self) -> None:
        chain, weth = self._chain, self._chain.token("WETH")
        question = {"to": weth, "data": "0x" + encode_call("balanceOf(address)", self._executor).hex()}
        held = int(await chain.rpc.call("eth_call", question, "latest"), 16)
        await chain.call(OPERATOR, weth, _PULL, self._executor, OPERATOR.address, held)

    async def vault_rows(self, route: Route) -> list[Row]:
        """Return a cycle's rows with module and Safe: ours beside the plain contract in both ways."""
        used = [
            await self._chain.gas(OPERATOR, vault.module, vault.call(plan))
            for vault, plan in await self.vault_runs(route)
        ]
        name = f"vault, {route.name}"
        if len(used) == 1:
            return [_row(name, used[0], None, _NO_ROUTER)]
        return [_row(name, used[0], theirs, words) for theirs, words in zip(used[1:], _PLAIN.values(), strict=True)]

    async def rows(self, route: Route, *, borrowed: bool) -> list[Row]:
        """Return a cycle's rows without a vault: ours beside each peer that can run it."""
        chain, ready = self._chain, await self._ready(route, borrowed=borrowed)
        block = await chain.head() + 1 + len(ready)
        call = ours(chain, OPERATOR.address, route, block, borrowed=borrowed)
        own = await chain.gas(OPERATOR, self._executor, call, ready)
        name = f"{'Balancer lends' if borrowed else 'alone'}, {route.name}"
        rows = [] if route.is_plain else [_row(name, own, None, _NO_ROUTER)]
        for standing, words in _PLAIN.items() if route.is_plain else ():
            data = plain(chain, route, borrowed=borrowed)
            rows.append(_row(name, own, await chain.gas(OPERATOR, self._plain[standing], data), words))
        if route.is_of_pairs and self._published is None:
            rows.append(_row(name, own, None, f"{_NOT_MEASURED}: {_PEER}"))
        elif route.is_of_pairs and self._published is not None:
            data = published(chain, route, borrowed=borrowed)
            rows.append(_row(name, own, await chain.gas(OPERATOR, self._published, data), _PEER))
        return rows


def _same(creation: bytes, _module: Address) -> bytes:
    """The plain contract serves whoever calls it."""
    return creation


def _row(name: str, own: int, theirs: int | None, words: str) -> Row:
    return Row(name, "gas", own, own, theirs, theirs / own if theirs else None, words)


def _call_data_rows(chain: Scene) -> list[Row]:
    """What a further hop adds to the call data."""
    by_name = {route.name: route for route in routes(chain)}
    two, three = by_name["2 hops: V2, Sushi"], by_name["3 hops: V2, V2, Sushi"]
    own = len(encode_plan(plan_of(three, 1, borrowed=False))) - len(encode_plan(plan_of(two, 1, borrowed=False)))
    simple = len(plain(chain, three)) - len(plain(chain, two))
    peer = len(published(chain, three)) - len(published(chain, two))
    rows = [Row("call data a hop on a pair", "bytes", own, own, simple, simple / own, "plain")]
    rows.append(Row("call data a hop on a pair", "bytes", own, own, peer, peer / own, _PEER))
    for name in ("2 hops: V2, V3", "2 hops: V2, Balancer", "2 hops: V2, V4", "3 hops: V2, Curve, Sushi"):
        hop = by_name[name].hops[1]
        one = Route("", (hop,))
        size = len(encode_plan(plan_of(one, 1, borrowed=False))) - 50
        rows.append(Row(f"call data a hop on {name.split(', ')[1]}", "bytes", size, size))
    return rows


def _compiled(chain: Scene, name: str, locate: Callable[[str], Path], entry: str) -> bytes:
    sources = gather_sources([entry], locate)
    build = Build(
        title=name,
        compiler="solc",
        sources=sources,
        contracts=(name,),
        evm_version="cancun",
        optimizer_runs=1_000_000,
    )
    return compile_build(chain.packages, chain.home, build, print)[name].creation


def _own(chain: Scene, unit: str) -> Path:
    return (chain.packages.root if unit.startswith("@") else _CONTRACTS) / unit


def _peers(folder: Path, unit: str) -> Path:
    library = "openzeppelin-contracts/"
    return (
        folder / "lib" / library / "contracts" / unit.removeprefix(library)
        if unit.startswith(library)
        else folder / unit
    )
