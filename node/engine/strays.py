"""What a hot key pays and no outcome tells of, found in the receipts of the block in which its nonce rose.

Whoever gets a bundle holds signed transactions that are good until their nonce is used. Put into a later block alone,
such a one reverts (PlanExpired), and its gas and priority fee are paid all the same. The same where two variants of
one find are in one block, at different nonces: the outcome is of one of them.

So each block's nonces are held against what the outcomes booked of it. Where one rose by more, the block's receipts are
read: what is there of our keys counts for the day's limit, a revert for the breaker, and is told once as a payment,
with who was given the transaction. What membership sent is booked by itself and counts for the day's limit only. A
nonce that rose by more than all that is an alarm. A block that cannot be read is read with a later head; what it was
said to hold is taken back where it leaves the chain.

A transaction is remembered until a block too old to leave the chain has its nonce used: no block can take it any more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.receipts import Receipt, block_receipts
from node.engine.relays import OVERTAKEN
from node.engine.rpc import RpcError
from node.engine.vault_logs import any_profit_told
from node.pipeline.events import HotKeyUsed
from node.records import (
    AnyRecord,
    BundleSigned,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OutcomeRetracted,
    PaymentMade,
    RelayAnswered,
    TransactionSent,
)
from protocol.units import HASH_BYTES, ZERO_ADDRESS, Address, BlockNumber, Hash32, Wei

STRAY: Final = "stray"
"""What such a payment is called in the ledger."""
MAX_SIGNED: Final = 4_096
"""Transactions, bundles and outcomes of ours that are remembered at most; the oldest is forgotten, which is counted."""
MAX_BLOCKS: Final = 64
"""Blocks that are remembered for a reorganisation, or wait to be read; the oldest is given up."""
MAX_READ: Final = 2
"""Blocks whose receipts are read with one head; the others with the next."""
_NO_SUBJECT: Final = Hash32(bytes(HASH_BYTES))
_LOG: Final = logging.getLogger("hftnode.engine.strays")

Found = tuple[HotKeyUsed | None, AnyRecord | None]
"""What the pipeline learns, and what the desk does."""


class _Signed(msgspec.Struct, gc=False):
    """A transaction of ours in bundles, and the relays that were given it and answered, in the order of their names.

    Where nothing lands, there are thousands of these for the same few nonces.
    """

    opportunity_id: Hash32
    target_block: BlockNumber
    sender: Address
    nonce: int
    coinbase_wei: Wei
    relays: tuple[str, ...] = ()


class _Block(msgspec.Struct):
    """A block that was looked at or is to be. `nonces` once it is settled; `sent`: by key, as its receipts tell;
    `told`: whether anything of it is in the ledger.
    """

    header: Header
    nonces: Mapping[Address, int] | None = None
    sent: Counter[Address] | None = None
    told: bool = False


class Strays:
    """See the module. `is_open`: whether an opportunity's outcome is still to be told.

    `counts`: `strays`, `unexplained` nonces, `unread` (blocks that the chain did not tell), `given_up` (blocks),
    `forgotten` (what no longer fitted into MAX_SIGNED, and might still have been asked for).
    """

    def __init__(
        self,
        endpoints: Endpoints,
        entry_point: Address,
        hot_keys: Collection[Address],
        is_open: Callable[[Hash32], bool],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._endpoints, self._entry_point, self._is_open = endpoints, entry_point, is_open
        self._hot_keys = frozenset(hot_keys)
        self._signed: dict[Hash32, _Signed] = {}
        self._by_bundle: dict[Hash32, tuple[Hash32, ...]] = {}
        self._membership: dict[Hash32, None] = {}
        self._booked: dict[Hash32, Hash32] = {}
        """By transaction the block in which the outcomes, or we, told of it."""
        self._blocks: list[_Block] = []

    def replace(self, former: Address, present: Address) -> None:
        """Look after another hot key in a former one's place."""
        self._hot_keys = frozenset([*(self._hot_keys - {former}), present])

    def hear(self, record: AnyRecord) -> None:
        """Learn from a record that is on the spool what is ours and what is told: an earlier process's as well."""
        match record:
            case BundleSigned():
                self._expect(record)
            case RelayAnswered() if record.error != OVERTAKEN:
                for name in self._by_bundle.get(record.bundle_hash, ()):
                    if (signed := self._signed.get(name)) is not None and record.relay not in signed.relays:
                        signed.relays = tuple(sorted((*signed.relays, record.relay)))
            case TransactionSent():
                self._membership[record.transaction_hash] = None
                self._bound(self._membership)
            case ExecutionLandedRecord() | PaymentMade():
                self._book(record.transaction_hash, record.block_hash)
            case ExecutionMissedRecord() if record.block_hash is not None and record.lost_to is not None:
                self._book(record.lost_to, record.block_hash)
            case _:
                pass

    def retract(self, block_hash: Hash32) -> bool:
        """A block left the chain. Whether anything was told of it."""
        places = [place for place, block in enumerate(self._blocks) if block.header.hash == block_hash]
        if not places:
            return False
        gone, self._blocks = self._blocks[places[0] :], self._blocks[: places[0]]
        return gone[0].told

    async def look(self, header: Header, nonces: Mapping[Address, int]) -> list[Found]:
        """What the keys paid up to this block and nobody tells of, once its outcomes are judged. `nonces` as of it."""
        if not self._hot_keys or (self._blocks and self._blocks[-1].header.hash == header.hash):
            return []
        found: list[Found] = [(None, told) for told in self._replace_by(header)]
        self._blocks.append(_Block(header))
        self._forget()
        settled = [place for place, block in enumerate(self._blocks) if block.nonces is not None]
        if not self._hot_keys <= nonces.keys():
            return found
        if not settled:
            self.counts["given_up"] += len(self._blocks) - 1
            self._blocks[-1].nonces = dict(nonces)
            return found
        before, waiting = self._blocks[settled[-1]].nonces or {}, self._blocks[settled[-1] + 1 :]
        rises = {key: nonces[key] - before.get(key, nonces[key]) for key in self._hot_keys}
        if any(rise > self._booked_of(key, waiting) for key, rise in sorted(rises.items())):
            found += await self._read(waiting)
            if any(block.sent is None for block in waiting):
                return found
            found += self._unexplained(rises, waiting)
        self._blocks[-1].nonces = dict(nonces)
        return found

    def _expect(self, record: BundleSigned) -> None:
        for one in record.executions:
            if one.transaction_hash not in self._signed:
                self._signed[one.transaction_hash] = _Signed(
                    one.opportunity_id, record.target_block, one.sender, one.nonce, Wei(int(one.coinbase_wei))
                )
        self._by_bundle[record.bundle_hash] = tuple(one.transaction_hash for one in record.executions)
        self._bound(self._signed)
        self._bound(self._by_bundle)

    def _book(self, transaction: Hash32, block_hash: Hash32) -> None:
        self._booked[transaction] = block_hash
        self._bound(self._booked)

    def _booked_of(self, key: Address, blocks: Collection[_Block]) -> int:
        """How many transactions of a key the outcomes booked in these blocks."""
        hashes = {block.header.hash for block in blocks}
        ours = (self._signed.get(name) for name, where in self._booked.items() if where in hashes)
        return sum(signed is not None and signed.sender == key for signed in ours)

    def _replace_by(self, header: Header) -> list[OutcomeRetracted]:
        """Take back what was told of blocks in whose place this one stands, if nobody said that they left."""
        gone = [block for block in self._blocks if block.header.number >= header.number]
        self._blocks = [block for block in self._blocks if block.header.number < header.number]
        return [OutcomeRetracted(block_hash=block.header.hash) for block in gone if block.told]

    def _forget(self) -> None:
        """Let the oldest block go, with what no block that may still come, or come back, can hold, and with the bundles
        for it and those before, of which no relay tells any more.
        """
        if len(self._blocks) <= MAX_BLOCKS:
            return
        gone = self._blocks.pop(0)
        self.counts["given_up"] += gone.nonces is None
        kept = {block.header.hash for block in self._blocks}
        self._booked = {name: where for name, where in self._booked.items() if where in kept}
        if gone.nonces is not None:
            self._forget_used(gone.nonces)
        self._by_bundle = {
            bundle: names
            for bundle, names in self._by_bundle.items()
            if any(name in self._signed and self._signed[name].target_block > gone.header.number for name in names)
        }

    def _forget_used(self, nonces: Mapping[Address, int]) -> None:
        """Forget the transactions below these nonces, and those of keys that were replaced."""
        used = [
            name
            for name, signed in self._signed.items()
            if signed.nonce < nonces.get(signed.sender, 0) or signed.sender not in self._hot_keys
        ]
        for name in used:
            del self._signed[name]

    def _bound(self, kept: dict[Hash32, Any]) -> None:
        while len(kept) > MAX_SIGNED:
            del kept[next(iter(kept))]
            self.counts["forgotten"] += 1

    async def _read(self, waiting: Collection[_Block]) -> list[Found]:
        found: list[Found] = []
        for block in [block for block in waiting if block.sent is None][:MAX_READ]:
            try:
                receipts = await block_receipts(self._endpoints, block.header.hash)
            except RpcError as error:
                self.counts["unread"] += 1
                _LOG.warning("what our keys paid in block %d cannot be read yet: %s", block.header.number, error)
                break
            ours = [receipt for receipt in receipts.values() if receipt.origin in self._hot_keys]
            block.sent = Counter(receipt.origin for receipt in ours)
            found += [self._paid(receipt, block) for receipt in ours if not self._is_told(receipt.hash, block.header)]
        return found

    def _is_told(self, transaction: Hash32, header: Header) -> bool:
        """Whether a transaction in a block is an outcome's, told or to be told."""
        if self._booked.get(transaction) == header.hash:
            return True
        signed = self._signed.get(transaction)
        return signed is not None and signed.target_block == header.number and self._is_open(signed.opportunity_id)

    def _paid(self, receipt: Receipt, block: _Block) -> Found:
        if receipt.hash in self._membership:
            return HotKeyUsed(receipt.origin, receipt.spent_wei, reverted=False, strange=""), None
        self.counts["strays"] += 1
        block.told = True
        header, signed = block.header, self._signed.get(receipt.hash)
        reverted = not receipt.status
        end = "reverted" if reverted else "succeeded"
        strange = (
            f"0x{receipt.origin.hex()} paid {receipt.spent_wei} wei for 0x{receipt.hash.hex()}, which {end} in "
            f"block {header.number} and {_whence(signed)}"
        )
        token, profit = any_profit_told(receipt.logs, self._entry_point) or (ZERO_ADDRESS, 0)
        to_coinbase = 0 if signed is None or reverted else signed.coinbase_wei
        return HotKeyUsed(receipt.origin, receipt.spent_wei, reverted, strange), PaymentMade(
            what=STRAY,
            transaction_hash=receipt.hash,
            sender=receipt.origin,
            token=token,
            amount=str(profit),
            block=BlockNumber(header.number),
            block_hash=header.hash,
            gas_wei=str(receipt.spent_wei),
            bid_wei=str(receipt.tip_wei(Wei(header.base_fee)) + to_coinbase),
            subject=_NO_SUBJECT if signed is None else signed.opportunity_id,
        )

    def _unexplained(self, rises: Mapping[Address, int], waiting: Collection[_Block]) -> list[Found]:
        found: list[Found] = []
        until = max(block.header.number for block in waiting)
        for key, rise in sorted(rises.items()):
            left = rise - sum(block.sent[key] for block in waiting if block.sent is not None)
            if left > 0:
                self.counts["unexplained"] += left
                strange = (
                    f"0x{key.hex()}: its nonce rose by {left} more than the {len(waiting)} blocks up to {until} tell of"
                )
                found.append((HotKeyUsed(key, Wei(0), reverted=False, strange=strange), None))
        return found


def _whence(signed: _Signed | None) -> str:
    if signed is None:
        return "was not sent by this node, as far as it remembers"
    had = ", ".join(signed.relays) or "nobody that has answered"
    return f"was signed for block {signed.target_block}; given to: {had}"
