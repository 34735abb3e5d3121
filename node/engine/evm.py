"""An EVM in this process (pyrevm, without a fork) over the part of the chain's state that it was given.

It tells exactly which accounts and slots a run touched that it was not given: such a run is worth nothing. Every run,
and every write, stands between a snapshot and its revert, `commit` is never called: so the state stays what was given,
and gas is counted from cold. What is known of pyrevm 0.3.7 and used here: the first write to an account within a
snapshot stays in its database while its journal forgets it, so each write has a snapshot of its own; the coinbase never
leaves the journal, so its slots cannot be given; a failing call raises RuntimeError; slots that only a reverted call
read are not in the journal, which is why a failure is to be confirmed elsewhere.

Several calls in one run are transactions of one block, but slots stay warm from one to the next: from the second on
`gas_used` is too low.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from pyrevm import EVM, AccountInfo, BlockEnv, CfgEnv, Env

from node.engine.rpc_types import AddressHex, Data, HashHex
from node.engine.vault_logs import Log

_SPECIFICATION: Final = "OSAKA"
_ACCOUNT: Final = ": Account { info"
_STORAGE: Final = ", storage: {"
_STORAGE_END: Final = "}, status"
_SLOT: Final = re.compile(r"(\d+): StorageSlot \{ previous_or_original_value: (\d+), present_value: (\d+) \}")
_ADDRESS_CHARACTERS: Final = 42
_PRECOMPILES_BELOW: Final = 0x200
_GAS_PERCENT: Final = 80


class EvmAccount(msgspec.Struct, frozen=True, gc=False):
    """An account without its storage."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""


class EvmCall(msgspec.Struct, frozen=True, gc=False):
    """One transaction: addresses in lower-case hex, `gas_price` in wei as the block would charge it."""

    sender: str
    to: str
    data: bytes
    value: int
    gas: int
    gas_price: int


class EvmBlock(msgspec.Struct, frozen=True, gc=False):
    """The block that a run is in."""

    number: int
    timestamp: int
    base_fee: int
    gas_limit: int
    coinbase: str


class EvmResult(msgspec.Struct, frozen=True, gc=False):
    """What one call did."""

    gas_used: int
    logs: tuple[Log, ...]


def is_near_limit(calls: Sequence[EvmCall], results: Sequence[EvmResult]) -> bool:
    """Whether a call used so much of its gas that it might run out: behind other calls this counts too little."""
    pairs = zip(calls, results, strict=True)
    return any(result.gas_used * 100 > call.gas * _GAS_PERCENT for call, result in pairs)


class EvmRun(msgspec.Struct, frozen=True):
    """`results` of all calls, None if one failed; worth something only if nothing is `missing`.

    `changes`: by address, the slots that have another value behind the last call that did not fail.
    """

    results: tuple[EvmResult, ...] | None
    changes: dict[str, dict[int, int]]
    missing_accounts: frozenset[str]
    missing_slots: frozenset[tuple[str, int]]

    @property
    def missing(self) -> tuple[frozenset[str], frozenset[tuple[str, int]]]:
        """Accounts and slots that were not known."""
        return self.missing_accounts, self.missing_slots

    @property
    def is_whole(self) -> bool:
        """Whether all that was touched was known."""
        return not self.missing_accounts and not self.missing_slots


class Evm:
    """See the module. Addresses are lower-case hex."""

    def __init__(self, chain_id: int) -> None:
        self._evm = EVM(env=Env(cfg=CfgEnv(chain_id=chain_id)), spec_id=_SPECIFICATION)
        self._accounts: dict[str, EvmAccount] = {}
        self._slots: dict[str, set[int]] = {}
        self._size = 0
        self._coinbases: set[str] = set()

    def __len__(self) -> int:
        """How many accounts and slots are known."""
        return self._size

    def account(self, address: str) -> EvmAccount | None:
        """What is known of an account."""
        return self._accounts.get(address)

    def knows_slot(self, address: str, slot: int) -> bool:
        """Whether a slot's value is known."""
        return slot in self._slots.get(address, ())

    def put_account(self, address: str, account: EvmAccount) -> None:
        """Give, or replace, an account; its slots stay."""
        info = AccountInfo(  # type: ignore[call-arg]  # the package's own type stub forgets `balance`
            nonce=account.nonce, balance=account.balance, code=account.code or None
        )
        self._evm.insert_account_info(address, info)
        self._size += address not in self._accounts
        self._accounts[address] = account

    def forget_account(self, address: str) -> None:
        """Let an account count as not given; its slots stay."""
        self._size -= self._accounts.pop(address, None) is not None

    def put_slots(self, address: str, values: Mapping[int, int]) -> None:
        """Give, or replace, slots of an account that is known."""
        known = self._slots.setdefault(address, set())
        self._size += len(values.keys() - known)
        known.update(values)
        for slot, value in values.items():
            before = self._evm.snapshot()
            self._evm.insert_account_storage(address, slot, value)
            self._evm.revert(before)

    def run(self, calls: Sequence[EvmCall], block: EvmBlock) -> EvmRun:
        """Run calls one after the other and undo them."""
        self._coinbases.add(block.coinbase)
        self._evm.set_block_env(
            BlockEnv(
                number=block.number,
                coinbase=block.coinbase,
                timestamp=block.timestamp,
                prevrandao=bytes(32),
                basefee=block.base_fee,
                gas_limit=block.gas_limit,
                excess_blob_gas=0,
            )
        )
        before = self._evm.snapshot()
        try:
            results = self._results(calls)
            touched = self._evm.journal_str
        finally:
            self._evm.revert(before)
        return self._judged(results, touched)

    def _results(self, calls: Iterable[EvmCall]) -> tuple[EvmResult, ...] | None:
        results: list[EvmResult] = []
        for call in calls:
            self._evm.reset_transient_storage()
            try:
                self._evm.message_call(
                    caller=call.sender,
                    to=call.to,
                    calldata=call.data,
                    value=call.value,
                    gas=call.gas,
                    gas_price=call.gas_price,
                )
            except RuntimeError:  # a revert, a halt, or a sender who cannot pay
                return None
            result = self._evm.result
            if result is None:
                return None
            logs = tuple(
                Log(AddressHex(bytes.fromhex(log.address[2:])), tuple(map(HashHex, log.data[0])), Data(log.data[1]))
                for log in result.logs
            )
            results.append(EvmResult(result.gas_used, logs))
        return tuple(results)

    def _judged(self, results: tuple[EvmResult, ...] | None, touched: str) -> EvmRun:
        accounts: set[str] = set()
        slots: set[tuple[str, int]] = set()
        changes: dict[str, dict[int, int]] = {}
        for before, body in pairwise(touched.split(_ACCOUNT)):
            address = before[-_ADDRESS_CHARACTERS:]
            if int(address, 16) >= _PRECOMPILES_BELOW and address not in self._accounts:
                accounts.add(address)
            known = () if address in self._coinbases else self._slots.get(address, ())
            storage = body.rpartition(_STORAGE)[2].partition(_STORAGE_END)[0]
            for slot, original, present in _SLOT.findall(storage):
                if int(slot) not in known:
                    slots.add((address, int(slot)))
                if original != present:
                    changes.setdefault(address, {})[int(slot)] = int(present)
        return EvmRun(results, changes, frozenset(accounts), frozenset(slots))
