"""What the vault module tells of an execution in its logs (contracts/src/interfaces/IVaultModule.sol)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from node.engine.rpc_types import AddressHex, Data, HashHex
from node.pipeline.amm.units import TokenAmount
from protocol.ethereum.keccak import keccak256
from protocol.units import ADDRESS_BYTES, Address

_EXECUTED: Final = keccak256(b"Executed(address,address,uint256,uint256)")
_TOPICS: Final = 3
_WORD: Final = 32


class Log(msgspec.Struct, frozen=True, gc=False):
    """A log as receipts and simulations have it."""

    address: AddressHex
    topics: tuple[HashHex, ...]
    data: Data


def profit_told(logs: Iterable[Log], token: Address, entry_point: Address) -> TokenAmount:
    """The profit in `token` that the vault module at `entry_point` tells of, in smallest units; 0 if it tells none."""
    return next((profit for paid_in, profit in _executed(logs, entry_point) if paid_in == token), TokenAmount(0))


def any_profit_told(logs: Iterable[Log], entry_point: Address) -> tuple[Address, TokenAmount] | None:
    """The first profit that the vault module tells of: its token, and how much of it; None if it tells none."""
    return next(_executed(logs, entry_point), None)


def _executed(logs: Iterable[Log], entry_point: Address) -> Iterator[tuple[Address, TokenAmount]]:
    """`Executed(safe, token, drawn, profit)`, safe and token indexed."""
    for log in logs:
        if bytes(log.address) != entry_point or len(log.topics) != _TOPICS or log.topics[0] != _EXECUTED:
            continue
        if len(log.data) == 2 * _WORD:
            token = Address(bytes(log.topics[2][-ADDRESS_BYTES:]))
            yield token, TokenAmount(int.from_bytes(log.data[_WORD:], "big"))
