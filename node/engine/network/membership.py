"""What a member owes in each epoch: its check-in, and by turns the roll; sent by the hot key, to the public mempool.

Both are tried again at each block until the chain shows them done, at a low price: a bundle of the same key in that
block comes first, and the try is void. So that a key with a bundle in each block is not late for its check-in, it sends
nothing else for the last blocks in which that is still possible (`resting`). Whose turn the roll is follows from the
check-ins, so that seldom two pay. A key without ether sends nothing, which is said once, until it has some again.

What each has cost is told once while its block stands. It is on the spool that it is sent before it is, so that an
engine that is started again goes on waiting for it (`resume`); where its block leaves the chain, it is awaited again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec

from governance.network import check_in_call, report_call, roll_call
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.network.registry import Registry
from node.engine.rpc import Call, RpcError, RpcRefused
from node.engine.rpc_types import Data, HashHex, Quantity
from node.records import AnyRecord, PaymentMade, TransactionSent
from protocol.errors import RemoteProtocolError
from protocol.ethereum.block_header import header_rlp
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.evidence import Evidence
from protocol.units import (
    HASH_BYTES,
    ZERO_ADDRESS,
    Address,
    BlockNumber,
    ChainId,
    EpochNumber,
    Gas,
    Hash32,
    Wei,
    address_from_hex,
    address_to_hex,
)

CHECK_IN_GAS: Final = Gas(220_000)
ROLL_GAS: Final = Gas(160_000)
REPORT_GAS: Final = Gas(450_000)
RESTING_BLOCKS: Final = 3
"""Before check-in closes: one lands it, the others are for a block that somebody else fills, and for a late head."""
TIP: Final = Wei(10**9)
"""Wei per gas, and a little more that differs between keys: equal prices leave the order to chance."""
SUPPORT_GAS: Final = Gas(300_000)
_KINDS: Final = ("check_in", "roll", "report", "brake")
MAX_SENT: Final = 64
"""Transactions whose cost is not known yet, and such whose cost was told; the oldest is forgotten."""
_TIP_SPREAD: Final = 1_000_003
_BASE_FEES_AHEAD: Final = 2
_SECONDS: Final = 2.0
_OF_KEY: Final = ("eth_getTransactionCount", "eth_getBalance")
_LOG: Final = logging.getLogger("hftnode.engine.network")


class _ReceiptJson(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    gas_used: Quantity
    effective_gas_price: Quantity
    block_number: Quantity
    block_hash: HashHex


class Membership:
    """See the module.

    `counts`: `check_in`, `roll`, `report`, `brake` sent, `refused` (by the chain's node), `no ether`, `missed` epochs.
    """

    def __init__(self, endpoints: Endpoints, registry: Registry, key: SigningKey, chain_id: ChainId) -> None:
        self.counts: Counter[str] = Counter()
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        """Puts a record into the ledger; set where both are wired."""
        self.submit: Callable[[bytes], Awaitable[None]] = self._to_mempool
        """Sends a transaction. Raises RpcError. Another way in lockstep, where sending has its stage."""
        self._endpoints, self._registry, self._chain_id = endpoints, registry, chain_id
        self.replace(key)
        self._awaited: EpochNumber | None = None
        self._is_out_of_ether = False
        self._sent: dict[Hash32, tuple[str, Hash32, Address]] = {}
        self._told: dict[Hash32, PaymentMade] = {}

    def replace(self, key: SigningKey) -> None:
        """Send from this key from now on."""
        self._key = key
        self._tip = Wei(TIP + int.from_bytes(keccak256(key.address.encode())[:4], "big") % _TIP_SPREAD)

    def resume(self, sent: Iterable[TransactionSent], told: Iterable[PaymentMade]) -> None:
        """Go on where an earlier process ended: with what it sent, and what it told of the cost."""
        for one in sent:
            self._await(one.transaction_hash, one.what, one.subject)
        for made in told:
            if made.what in _KINDS and made.sender == address_from_hex(self._key.address):
                self._sent.pop(made.transaction_hash, None)
                self._remember(made)

    def retract(self, block_hash: Hash32) -> None:
        """A block left the chain: what was sent is to be found in another."""
        for made in [made for made in self._told.values() if made.block_hash == block_hash]:
            del self._told[made.transaction_hash]
            self._await(made.transaction_hash, made.what, made.subject)

    async def settled(self) -> list[PaymentMade]:
        """What those that were sent and are in a block have cost, each once; also of those that failed there."""
        calls = [Call("eth_getTransactionReceipt", ("0x" + sent.hex(),), _ReceiptJson | None) for sent in self._sent]
        if not calls:
            return []
        try:
            receipts = await self._endpoints.batch(calls, seconds=_SECONDS)
        except RpcError as error:
            self.refused(error)
            return []
        made = []
        for sent, receipt in zip(list(self._sent), receipts, strict=True):
            if isinstance(receipt, _ReceiptJson):
                made.append(self._payment(sent, *self._sent.pop(sent), receipt))
                self._remember(made[-1])
        return made

    def _await(self, sent: Hash32, what: str, subject: Hash32) -> None:
        self._sent[sent] = what, subject, address_from_hex(self._key.address)
        while len(self._sent) > MAX_SENT:
            del self._sent[next(iter(self._sent))]

    def _remember(self, made: PaymentMade) -> None:
        self._told[made.transaction_hash] = made
        while len(self._told) > MAX_SENT:
            del self._told[next(iter(self._told))]

    def _payment(self, sent: Hash32, what: str, subject: Hash32, sender: Address, receipt: _ReceiptJson) -> PaymentMade:
        used, price = int(receipt.gas_used), int(receipt.effective_gas_price)
        return PaymentMade(
            what=what,
            transaction_hash=sent,
            sender=sender,
            token=ZERO_ADDRESS,
            amount="0",
            block=BlockNumber(int(receipt.block_number)),
            block_hash=Hash32(bytes(receipt.block_hash)),
            gas_wei=str(used * price),
            bid_wei=str(used * min(self._tip, price)),
            subject=subject,
        )

    async def attend(self, header: Header, account: Address) -> None:
        """Do what is due after a block; what fails is counted and due again after the next."""
        registry = self._registry
        if registry.leaders is None or account not in registry.operators:
            return
        due = registry.leaders.rules.check_in_epoch(BlockNumber(header.number + 1))  # where what is sent now can land
        self._count_missed(due, account)
        if due is not None and account not in registry.checked_in.get(due, frozenset()):
            await self._send("check_in", _word(due), check_in_call(due), CHECK_IN_GAS, header)
        await self._roll(header, account)

    def resting(self, head: BlockNumber, account: Address) -> frozenset[BlockNumber]:
        """The blocks for which the key sends nothing but its check-in, as it stands at this head."""
        registry = self._registry
        if registry.leaders is None or account not in registry.operators:
            return frozenset()
        rules = registry.leaders.rules
        due = rules.check_in_epoch(BlockNumber(head + 1))
        if due is None or account in registry.checked_in.get(due, frozenset()):
            return frozenset()
        closes = rules.first_block(due) - rules.cut_off
        return frozenset(BlockNumber(closes - place) for place in range(1, RESTING_BLOCKS + 1))

    def _count_missed(self, due: EpochNumber | None, account: Address) -> None:
        """An epoch for which check-in has closed without us is missed, once."""
        if due == self._awaited:
            return
        passed, self._awaited = self._awaited, due
        if passed is not None and account not in self._registry.checked_in.get(passed, frozenset()):
            self.counts["missed"] += 1
            level = logging.WARNING if self._is_out_of_ether else logging.ERROR  # what it lacks was said
            _LOG.log(level, "not checked in for epoch %d: no turns in it", passed)

    async def _roll(self, header: Header, account: Address) -> None:
        registry, rules = self._registry, self._registry.leaders.rules  # type: ignore[union-attr]  # seen by `attend`
        for epoch, members in registry.checked_in.items():
            since = header.number - rules.seed_block(epoch)
            if epoch in registry.rolled or since < 0 or not members:
                continue
            if sorted(members)[since % len(members)] == account:
                block = hex(rules.seed_block(epoch))
                try:
                    told = await self._endpoints.call("eth_getBlockByNumber", block, False, shape=dict[str, Any])
                    data = roll_call(epoch, header_rlp(told))
                except (RpcError, RemoteProtocolError) as error:
                    self.refused(error)
                    return
                await self._send("roll", _word(epoch), data, ROLL_GAS, header)

    async def report(self, offence: Hash32, evidence: Evidence, header: Header) -> None:
        """Hand evidence to the court."""
        court = self._registry.contracts.court
        await self._send("report", offence, report_call(evidence), REPORT_GAS, header, court)

    async def would_pass(self, contract: Address, data: bytes, header: Header) -> bool:
        """Whether a call of our key would go through after a block. Raises RpcError where that is not known: only a
        revert is a no, and no other refusal (load, a block that the node does not have).
        """
        call = {"from": self._key.address, "to": address_to_hex(contract), "data": "0x" + data.hex()}
        at = {"blockHash": "0x" + header.hash.hex()}
        try:
            await self._endpoints.call("eth_call", call, at, shape=Data, seconds=_SECONDS)
        except RpcRefused as refused:
            if refused.is_revert:
                return False
            raise
        return True

    async def support(self, subject: Hash32, brake: Address, data: bytes, header: Header) -> bool:
        """Support a pause by the brake; whether that was sent."""
        return await self._send("brake", subject, data, SUPPORT_GAS, header, brake)

    async def _send(
        self, what: str, subject: Hash32, data: bytes, gas: Gas, header: Header, to: Address | None = None
    ) -> bool:
        """Send a call; whether the node took it. What it did not take, or we lack ether for, is counted."""
        at = {"blockHash": "0x" + header.hash.hex()}
        try:
            asked = [Call(name, (self._key.address, at), Quantity) for name in _OF_KEY]
            nonce, balance = [_answer(one) for one in await self._endpoints.batch(asked, seconds=_SECONDS)]
            price = Wei(_BASE_FEES_AHEAD * header.base_fee + self._tip)
            if self._lacks_ether(what, Wei(gas * price), Wei(balance)):
                return False
            fields = DynamicFeeFields(
                chain_id=self._chain_id,
                nonce=nonce,
                max_priority_fee_per_gas=self._tip,
                max_fee_per_gas=price,
                gas_limit=gas,
                to=address_to_hex(to or self._registry.contracts.ledger),
                value=0,
                data=data,
            )
            raw = sign_dynamic_fee(fields, self._key)
            name = Hash32(keccak256(raw))
            if name not in self._sent:
                self.tell(TransactionSent(what=what, transaction_hash=name, subject=subject))
                self._await(name, what, subject)
            await self.submit(raw)
        except RpcError as error:
            self.refused(error)
            return False
        self.counts[what] += 1
        return True

    async def _to_mempool(self, raw: bytes) -> None:
        await self._endpoints.call("eth_sendRawTransaction", "0x" + raw.hex(), shape=HashHex, seconds=_SECONDS)

    def _lacks_ether(self, what: str, needed: Wei, balance: Wei) -> bool:
        was, self._is_out_of_ether = self._is_out_of_ether, balance < needed
        if not self._is_out_of_ether:
            return False
        self.counts["no ether"] += 1
        if not was:
            _LOG.warning(
                "%s has %d wei and would need %d for its %s: nothing is sent until it has more ether",
                *(self._key.address, balance, needed, what.replace("_", "-")),
            )
        return True

    def refused(self, error: Exception) -> None:
        """Count what the chain's node did not take or answer; it is due again after the next block."""
        self.counts["refused"] += 1
        _LOG.info("membership: %s", error)


def _word(number: int) -> Hash32:
    return Hash32(number.to_bytes(HASH_BYTES, "big"))


def _answer(answer: int | RpcError) -> int:
    if isinstance(answer, RpcError):
        raise answer
    return int(answer)
