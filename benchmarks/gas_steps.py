"""Where the gas of an own execution goes: cycles of `benchmarks.gas` in a vault, step by step, ours and plain.

A step is what contracts of one kind use by themselves, without what they call: Anvil's `callTracer` says what a frame
used with its calls, and theirs is taken off. To reach a contract, and a cold account, is the caller's; what an
implementation uses is its proxy's. Tokens are told apart by what is asked of them. A refund is at most a fifth of the
gas used; the last row says what would be due without that. The steps of a cycle add up to its receipt, or this stops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.gas import Bench
from benchmarks.gas_routes import EXECUTE, routes
from benchmarks.gas_scene import OPERATOR, Scene, scene
from benchmarks.gas_vaults import Vault
from benchmarks.harness import Row
from devnet.errors import ChainFailed
from protocol.ethereum.keccak import keccak256

_GAS: Final = 8_000_000
_BLOCK_SECONDS: Final = 2
_REFUNDED_PART: Final = 5
"""EIP-3529: at most one part in so many of the gas used."""
_ROUTERS: Final = ("uniswap_v2_router", "sushi_router", "uniswap_v3_router")
_BEGINNING: Final = "transaction, call data"
_MODULE: Final = "module"
_SAFE: Final = "Safe"
_EXECUTOR: Final = "executor"
_ROUTER: Final = "routers"
_POOL: Final = "pools"
_TOKEN: Final = "tokens"
_MOVES: Final = "tokens: transfers"
_ALLOWS: Final = "tokens: approvals"
_ANSWERS: Final = "tokens: questions"
_REFUND: Final = "refund"
_RECEIPT: Final = "receipt"
_DUE: Final = "refund without its bound"
_STEPS: Final = (
    _BEGINNING,
    _MODULE,
    _SAFE,
    _EXECUTOR,
    _ROUTER,
    _POOL,
    _MOVES,
    _ALLOWS,
    _ANSWERS,
    _REFUND,
    _RECEIPT,
    _DUE,
)


def _selector(signature: str) -> str:
    return "0x" + keccak256(signature.encode())[:4].hex()


_EXECUTES: Final = _selector(EXECUTE)
_ASKED: Final = {
    _selector("transfer(address,uint256)"): _MOVES,
    _selector("transferFrom(address,address,uint256)"): _MOVES,
    _selector("approve(address,uint256)"): _ALLOWS,
}
"""Of what is asked of a token; anything else is a question."""


async def run() -> Sequence[Row]:
    """Trace each cycle that ours and the plain contract can run, and return its steps. Raises `ChainFailed`."""
    async with scene() as chain:
        bench = Bench(chain)
        await bench.deploy()
        rows: list[Row] = []
        for route in routes(chain):
            if not route.is_plain:
                continue
            runs = await bench.vault_runs(route)
            ours, plain = [await _steps(chain, vault, vault.call(plan)) for vault, plan in runs[:2]]
            for step in _STEPS:
                if ours[step] or plain[step]:
                    name = f"{route.name}: {step}"
                    ratio = plain[step] / ours[step] if ours[step] else None
                    rows.append(Row(name, "gas", ours[step], ours[step], plain[step], ratio, "plain"))
        return rows


async def _steps(chain: Scene, vault: Vault, data: bytes) -> Counter[str]:
    """Trace a call as one of the next block. Raises `ChainFailed` where the steps are not what the receipt says."""
    frame = await _trace(chain, vault, data, {"tracer": "callTracer"})
    # Every entry has gas and refund; what stands on the stack, in memory and in storage is not asked for.
    entries = await _trace(chain, vault, data, {"disableStack": True, "disableMemory": True, "disableStorage": True})
    first, last = entries["structLogs"][0], entries["structLogs"][-1]
    steps: Counter[str] = Counter()
    steps[_BEGINNING] = _GAS - first["gas"]
    steps[_MODULE] = first["gas"] - last["gas"] - _below(frame)
    roles = _roles(chain)
    for called in frame["calls"]:
        if called["input"].startswith(_EXECUTES):
            roles[called["to"].lower()] = _EXECUTOR
    for called in frame["calls"]:
        collect(called, _MODULE, roles, steps)
    due = last["refund"]
    steps[_REFUND] = -min(due, steps.total() // _REFUNDED_PART)
    steps[_RECEIPT] = steps.total()
    steps[_DUE] = -due
    used = await chain.gas(OPERATOR, vault.module, data)
    if steps[_RECEIPT] != used:
        raise ChainFailed(f"the steps add up to {steps[_RECEIPT]} gas, the receipt says {used}")
    return steps


async def _trace(chain: Scene, vault: Vault, data: bytes, options: Mapping[str, Any]) -> dict[str, Any]:
    head = await chain.rpc.call("eth_getBlockByNumber", "latest", False)
    block = {
        "number": hex(int(head["number"], 16) + 1),
        "time": hex(int(head["timestamp"], 16) + _BLOCK_SECONDS),
    }
    call = {"from": OPERATOR.address, "to": vault.module, "gas": hex(_GAS), "data": "0x" + data.hex()}
    tracing = {**options, "blockOverrides": block}
    traced: dict[str, Any] = await chain.rpc.call("debug_traceCall", call, "latest", tracing)
    return traced


def _roles(chain: Scene) -> dict[str, str]:
    """Return which kind of contract an address is; all that is not in it belongs to the pools."""
    roles = {token.address.lower(): _TOKEN for token in chain.manifest.tokens}
    roles |= {chain.contract(name).lower(): _ROUTER for name in _ROUTERS}
    return {**roles, chain.contract("safe").lower(): _SAFE}


def _below(frame: Mapping[str, Any]) -> int:
    return sum(int(called["gasUsed"], 16) for called in frame.get("calls", ()))


def collect(frame: Mapping[str, Any], caller: str, roles: Mapping[str, str], steps: Counter[str]) -> None:
    """Add what a frame and all below it used by themselves to their steps."""
    role = caller if frame["type"] == "DELEGATECALL" else roles.get(frame["to"].lower(), _POOL)
    if role == _TOKEN:
        role = _ASKED.get(frame["input"][:10], _ANSWERS)
    steps[role] += int(frame["gasUsed"], 16) - _below(frame)
    for called in frame.get("calls", ()):
        collect(called, role, roles, steps)
