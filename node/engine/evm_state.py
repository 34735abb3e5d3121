"""State for our own EVM, as nodes of the chain tell it: by tracers, and one account or slot at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.evm import Evm, EvmAccount, EvmBlock, EvmCall
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import Data, HashHex, Quantity

_MAX_MISSING: Final = 256
"""Accounts and slots read in one round; the others in the next."""


class TracedAccount(msgspec.Struct, frozen=True, gc=False):
    """An account as `prestateTracer` tells it; of differences what did not change is None or left out."""

    balance: Quantity | None = None
    nonce: int | None = None
    code: Data | None = None
    storage: dict[str, Quantity] = {}


Prestate: TypeAlias = dict[str, TracedAccount]
"""By address, lower-case hex."""


class _Difference(msgspec.Struct, frozen=True, gc=False):
    pre: Prestate
    post: Prestate


class BlockTrace(msgspec.Struct, frozen=True, gc=False):
    """What one transaction of a block changed."""

    result: _Difference


def apply_prestate(evm: Evm, state: Mapping[str, TracedAccount]) -> None:
    """Give what is told to the EVM, as far as it does not know it yet; of unknown accounts only if told with code."""
    for name, told in state.items():
        address = name.lower()
        if evm.account(address) is None and told.balance is not None and told.code is not None:
            evm.put_account(address, _account(told, EvmAccount()))
        if evm.account(address) is not None:
            slots = {int(slot, 16): int(value) for slot, value in told.storage.items()}
            evm.put_slots(address, {slot: slots[slot] for slot in slots if not evm.knows_slot(address, slot)})


def unknown_accounts(evm: Evm, state: Mapping[str, TracedAccount]) -> frozenset[str]:
    """Return the addresses of which the EVM knows nothing."""
    return frozenset(name.lower() for name in state if evm.account(name.lower()) is None)


def apply_block(evm: Evm, trace: Iterable[BlockTrace]) -> None:
    """Write what a block changed in what the EVM knows."""
    for transaction in trace:
        before, after = transaction.result.pre, transaction.result.post
        for name in {**before, **after}:
            address = name.lower()
            known = evm.account(address)
            if known is None:
                continue
            was, told = before.get(name, TracedAccount()), after.get(name)
            if told is None:  # it destroyed itself
                evm.put_account(address, EvmAccount())
                told = TracedAccount()
            elif not known.code and not known.nonce and told.nonce:  # it may have got code, which is not told
                evm.forget_account(address)
                continue
            else:
                evm.put_account(address, _account(told, known))
            slots = {int(slot, 16): 0 for slot in was.storage}  # a slot set to zero is left out of `post`
            slots.update((int(slot, 16), int(value)) for slot, value in told.storage.items())
            evm.put_slots(address, {slot: slots[slot] for slot in slots if evm.knows_slot(address, slot)})


def traced_call(
    call: EvmCall, changes: Mapping[str, Mapping[int, int]], block: EvmBlock
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return request and options of a `debug_traceCall` that tells what a call reads in a block, behind changes to the
    state before it.

    It tells changed slots as changed: those must be known before, and are, to whoever knows the changes. In another
    block than its own an order of the network reverts, and reads next to nothing.
    """
    request = {"from": call.sender, "to": call.to, "value": hex(call.value), "input": "0x" + call.data.hex()}
    overrides = {
        address: {"stateDiff": {_word(slot): _word(value) for slot, value in slots.items()}}
        for address, slots in changes.items()
    }
    when = {"number": hex(block.number), "time": hex(block.timestamp)}
    return request, {**prestate_tracer(), "stateOverrides": overrides, "blockOverrides": when}


def prestate_tracer(**settings: bool) -> dict[str, Any]:
    """Return the tracer's options: without code, which is most of the answer and hardly ever changes."""
    return {"tracer": "prestateTracer", "tracerConfig": {"disableCode": True, **settings}}


async def read_state(
    endpoints: Endpoints,
    missing: tuple[frozenset[str], frozenset[tuple[str, int]]],
    at: Mapping[str, str],
    seconds: float,
) -> Prestate:
    """Read accounts and slots, as many as go into one request; what one call is refused is left out. Raises RpcError
    where the whole request fails.
    """
    accounts, slots = sorted(missing[0])[:_MAX_MISSING], sorted(missing[1])[:_MAX_MISSING]
    calls: list[Call] = []
    for address in accounts:
        calls.append(Call("eth_getBalance", (address, at), Quantity))
        calls.append(Call("eth_getTransactionCount", (address, at), Quantity))
        calls.append(Call("eth_getCode", (address, at), Data))
    calls += [Call("eth_getStorageAt", (address, hex(slot), at), HashHex) for address, slot in slots]
    answers: list[Any] = await endpoints.batch(calls, seconds=seconds)
    state: Prestate = {}
    for place, address in enumerate(accounts):
        balance, nonce, code = answers[3 * place : 3 * place + 3]
        if not any(isinstance(answer, RpcError) for answer in (balance, nonce, code)):
            state[address] = TracedAccount(balance, int(nonce), code)
    for (address, slot), value in zip(slots, answers[3 * len(accounts) :], strict=True):
        if not isinstance(value, RpcError):
            told = state.setdefault(address, TracedAccount(storage={}))
            told.storage[hex(slot)] = Quantity(int.from_bytes(value, "big"))
    return state


def _account(told: TracedAccount, known: EvmAccount) -> EvmAccount:
    return EvmAccount(
        known.nonce if told.nonce is None else told.nonce,
        known.balance if told.balance is None else int(told.balance),
        known.code if told.code is None else bytes(told.code),
    )


def _word(number: int) -> str:
    return f"0x{number:064x}"
