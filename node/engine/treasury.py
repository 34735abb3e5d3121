"""Balances and nonces of the hot keys and what the flash lenders have: one batch of calls a block, before the block is
taken in, so that what is planned on it is planned on them. A key whose nonce was not told plans in vain: nothing of it
is executed. So who reads asks again where a read is not whole (`ask_again`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from node.engine.endpoints import Endpoints
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import Data, Quantity
from node.pipeline.amm.units import TokenAmount
from node.pipeline.events import LenderRead, TreasuryRead
from node.pipeline.plans import FlashLender
from protocol.ethereum.abi import encode_call
from protocol.units import HASH_BYTES, Address, Hash32, Wei, address_to_hex

_SECONDS: Final = 2.0
Read = TreasuryRead | LenderRead


class Treasury:
    """What is read each block: `hot_keys`, and of each lender the account that holds what it lends."""

    def __init__(
        self, endpoints: Endpoints, hot_keys: Sequence[Address], lenders: Sequence[tuple[FlashLender, Address]]
    ) -> None:
        self.balances: dict[Address, Wei] = {}
        """Of the hot keys, as of the last block."""
        self._endpoints, self._hot_keys, self._lenders = endpoints, tuple(hot_keys), tuple(lenders)

    def replace(self, former: Address, present: Address) -> None:
        """Read another hot key in a former one's place."""
        self._hot_keys = tuple(present if key == former else key for key in self._hot_keys)
        self.balances.pop(former, None)

    async def read(self, block_hash: Hash32) -> list[Read]:
        """Read all at a block; what a node refuses is left out. Raises RpcError."""
        at = {"blockHash": "0x" + block_hash.hex()}
        keys = [address_to_hex(address) for address in self._hot_keys]
        calls = [Call("eth_getBalance", (key, at), Quantity) for key in keys]
        calls += [Call("eth_getTransactionCount", (key, at), Quantity) for key in keys]
        calls += [Call("eth_call", (_balance_of(lender.token, holder), at), Data) for lender, holder in self._lenders]
        if not calls:
            return []
        answers = await self._endpoints.batch(calls, seconds=_SECONDS)
        reads: list[Read] = []
        for place, address in enumerate(self._hot_keys):
            balance, nonce = answers[place], answers[len(keys) + place]
            if isinstance(balance, RpcError) or isinstance(nonce, RpcError):
                continue
            self.balances[address] = Wei(int(balance))
            reads.append(TreasuryRead(address, Wei(int(balance)), int(nonce)))
        for (lender, _), answer in zip(self._lenders, answers[2 * len(keys) :], strict=True):
            if not isinstance(answer, RpcError) and len(answer) == HASH_BYTES:
                reads.append(LenderRead(lender.address, lender.token, TokenAmount(int.from_bytes(answer, "big"))))
        return reads

    def is_whole(self, reads: Sequence[Read]) -> bool:
        """Whether every hot key's nonce was told."""
        return sum(isinstance(read, TreasuryRead) for read in reads) == len(self._hot_keys)


def _balance_of(token: Address, holder: Address) -> dict[str, Any]:
    data = encode_call("balanceOf(address)", address_to_hex(holder))
    return {"to": address_to_hex(token), "data": "0x" + data.hex()}
