"""Which accounts and hot keys of the registry are read anew: those with something at stake, and no more than are told.

Anybody registers for the price of its gas, so that who merely registered is not kept: an account counts from its first
stake on, and as long as it has what could ever be enough for an operator. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from governance.network import HotKeyRecord, OperatorRecord
from governance.policy import EVIDENCE_SECONDS, PARAMETER_BOUNDS, Parameter
from protocol.ethereum.keccak import keccak256
from protocol.gossip import MAX_OPERATORS
from protocol.units import ADDRESS_BYTES, Address, BlockNumber, UnixSeconds

MAX_ACCOUNTS: Final = 2 * MAX_OPERATORS
"""As many as may lead, and as many whose stake may yet be slashed. Beyond it those with the least are dropped."""
MAX_KEYS_OF_ONE: Final = 64
"""Of one account, the newest: a key is of use for as long as evidence counts, and each one costs a rotation."""
_LEAST: Final = PARAMETER_BOUNDS[Parameter.MIN_STAKE][0]
_BEGINS: Final = frozenset({keccak256(b"Staked(address,uint256)"), keccak256(b"Restored(address,uint256)")})
_HOT_KEY_SET: Final = keccak256(b"HotKeySet(address,address,address)")
_KEY_TOPICS: Final = 4


class StakedAccounts:
    """See the module. `keys`: what is known of each key. Counts `accounts_dropped` and `keys_dropped`."""

    def __init__(self, counts: Counter[str]) -> None:
        self.keys: dict[Address, HotKeyRecord] = {}
        self._accounts: dict[Address, None] = {}
        self._counts = counts

    def __iter__(self) -> Iterator[Address]:
        return iter(self._accounts)

    def hear(self, topics: Sequence[bytes]) -> None:
        """Take in what the registry told of in one log; logs come in the chain's order."""
        if topics[0] in _BEGINS:
            self._accounts[_address(topics[1])] = None
        elif topics[0] == _HOT_KEY_SET and len(topics) == _KEY_TOPICS:
            account, key = _address(topics[1]), _address(topics[2])
            if account in self._accounts:
                self.keys.setdefault(key, _unread(account))

    def judge_accounts(self, records: Sequence[OperatorRecord]) -> list[OperatorRecord]:
        """Keep the accounts that have enough, and their keys; return their records, the most stake first."""
        held = sorted(
            (one for one in records if one.active + one.leaving >= _LEAST), key=lambda one: -(one.active + one.leaving)
        )
        self._counts["accounts_dropped"] += max(0, len(held) - MAX_ACCOUNTS)
        kept = held[:MAX_ACCOUNTS]
        self._accounts = dict.fromkeys(one.account for one in kept)
        self.keys = {key: known for key, known in self.keys.items() if known.operator in self._accounts}
        for one in kept:
            self.keys.setdefault(one.hot_key, _unread(one.account))  # set before the first stake
        return kept

    def judge_keys(self, periods: Sequence[HotKeyRecord], now: UnixSeconds) -> None:
        """Take in the periods of all `keys`, in their order; keep those whose statements still count."""
        by_account: dict[Address, list[tuple[Address, HotKeyRecord]]] = {}
        for key, period in zip(self.keys, periods, strict=True):
            is_past = period.until_block != 0 and period.until_time + EVIDENCE_SECONDS < now
            if any(period.operator) and not is_past:
                by_account.setdefault(period.operator, []).append((key, period))
        self.keys = {}
        for known in by_account.values():
            known.sort(key=lambda entry: -entry[1].from_block)
            self._counts["keys_dropped"] += max(0, len(known) - MAX_KEYS_OF_ONE)
            self.keys |= dict(known[:MAX_KEYS_OF_ONE])


def _address(topic: bytes) -> Address:
    return Address(bytes(topic[-ADDRESS_BYTES:]))


def _unread(account: Address) -> HotKeyRecord:
    """A key of which only the owner is known; its period is read at the same block."""
    never = BlockNumber(0), UnixSeconds(0)
    return HotKeyRecord(
        operator=account, from_block=never[0], from_time=never[1], until_block=never[0], until_time=never[1]
    )
