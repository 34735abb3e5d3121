"""The network's registry as the chain has it at the head: operators, keys, epochs, the brake.

Each block costs one `eth_getLogs`; what the contracts told of is read anew by one multicall at the block. Where blocks
do not follow each other, or a read failed, everything is read.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from governance.network import (
    NetworkContracts,
    OperatorRecord,
    Query,
    entry_query,
    epoch_query,
    epoch_rules_query,
    hot_key_query,
    operator_query,
    parameter_query,
    paused_query,
    removed_query,
)
from governance.policy import Parameter
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.log_ranges import LOGS_SECONDS, logs_by_range
from node.engine.multicall import Multicall, View
from node.engine.network.accounts import StakedAccounts
from node.engine.rpc import RpcGarbage
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity
from node.link import RegistrySnapshot, StakedOperator
from protocol.errors import ProtocolError
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.gossip import MAX_OPERATORS
from protocol.leaders import EpochTable, Leaders, Turn
from protocol.units import (
    ADDRESS_BYTES,
    HASH_BYTES,
    Address,
    BasisPoints,
    BlockNumber,
    EpochNumber,
    Hash32,
    LegKey,
    PeerIdHash,
    TokenAmount,
    UnixSeconds,
    address_from_hex,
    address_to_hex,
)

REREAD_BLOCKS: Final = 64
"""So far back what the contracts told is read again where blocks do not follow each other."""
KEY_OUTLIVES_BLOCKS: Final = 64
"""A key that ended so recently is still told to the sentry: what it signed may be on its way."""
_REMOVED: Final = keccak256(b"Removed(bytes32)")
_EXECUTED: Final = keccak256(b"Executed(bytes32,bytes32,address,address,address,uint256,uint256,uint256)")
_REMOVED_TOPICS: Final = 2
EXECUTIONS_REMEMBERED: Final = 4_096
_Answer = TypeVar("_Answer")
_LOG: Final = logging.getLogger("hftnode.engine.network")


class _LogJson(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    address: AddressHex
    topics: tuple[HashHex, ...]
    data: Data
    transaction_hash: HashHex
    block_number: Quantity
    block_hash: HashHex


class ExecutedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A network execution as the ledger told of it; amounts in the profit token's smallest unit."""

    order_hash: Hash32
    primary_key: LegKey
    finder: Address
    executor: Address
    profit_token: Address
    net: TokenAmount
    paid: TokenAmount
    fee: TokenAmount
    transaction_hash: Hash32
    block: BlockNumber
    block_hash: Hash32


class Registry:
    """See the module. `operators`: with enough stake to take part, by account.

    `counts`: `read`, `unreadable`, and what `accounts` drops.
    """

    def __init__(
        self, endpoints: Endpoints, multicall: Multicall, contracts: NetworkContracts, from_block: BlockNumber
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.contracts = contracts
        self.operators: dict[Address, OperatorRecord] = {}
        self.peers: frozenset[PeerIdHash] = frozenset()
        """What the operators name as their peers; two may name one."""
        self.leaders: Leaders | None = None
        self.checked_in: dict[EpochNumber, frozenset[Address]] = {}
        """Who has checked in for the epochs that are known."""
        self.rolled: frozenset[EpochNumber] = frozenset()
        self.is_paused = False
        self.removed: frozenset[bytes] = frozenset()
        """Pools, tokens and venues that governance has taken out of use: their addresses, or pools' ids."""
        self.fee_bps = BasisPoints(0)
        self.head: Header | None = None
        self.executed: list[ExecutedOrder] = []
        """Network executions that nobody has taken yet (`take_executed`); each comes once while its block stands."""
        self._told_of: dict[tuple[Hash32, Hash32], None] = {}
        self._tells_from: BlockNumber | None = None
        self._endpoints, self._multicall, self._next = endpoints, multicall, from_block
        self._accounts = StakedAccounts(self.counts)
        self._subjects: dict[Hash32, None] = {}
        """What was ever told to be removed; each took a vote."""
        self._staked: frozenset[Address] = frozenset()
        self._is_stale = True

    def resume(self, told: Iterable[tuple[Hash32, Hash32]], since: BlockNumber) -> None:
        """Go on where an earlier process ended: it had told of these (block's hash, order's hash), from a block on."""
        self._told_of |= dict.fromkeys(told)
        self._tells_from = since

    def take_executed(self) -> list[ExecutedOrder]:
        """Return the network executions that were found and not yet taken; a read that failed has lost none."""
        taken, self.executed = self.executed, []
        return taken

    def retract(self, block_hash: Hash32) -> None:
        """A block left the chain: what was executed in it is to be found in another, or in it if it comes back."""
        self.executed = [order for order in self.executed if order.block_hash != block_hash]
        for name in [name for name in self._told_of if name[0] == block_hash]:
            del self._told_of[name]

    async def follow(self, header: Header) -> None:
        """Be as the chain is after a block. Raises RpcError: then the next call reads everything."""
        follows = self.head is not None and header.parent_hash == self.head.hash
        is_first, is_stale, self._is_stale = self.head is None, self._is_stale or not follows, True
        told = await self._told(header, is_stale)
        self._take_executions(told, is_first=is_first)
        for log in told:
            if Address(bytes(log.address)) == self.contracts.staking:
                self._accounts.hear(log.topics)
            if len(log.topics) == _REMOVED_TOPICS and log.topics[0] == _REMOVED:
                self._subjects[Hash32(bytes(log.topics[1]))] = None
        by_contract = {Address(bytes(log.address)) for log in told}
        contracts = self.contracts
        if is_stale or by_contract & {contracts.staking, contracts.parameters}:
            await self._read_operators(header)
        if is_stale or contracts.parameters in by_contract:
            await self._read_removed(header)
        if is_stale or contracts.ledger in by_contract or self._begins_epoch(header):
            await self._read_epochs(header)
        if is_stale or self.is_paused or contracts.brake in by_contract:
            (self.is_paused,) = await self.ask([paused_query(contracts)], header)
        self.head, self._is_stale = header, False
        self._next = BlockNumber(max(self._next, header.number - REREAD_BLOCKS))

    def snapshot(self) -> RegistrySnapshot:
        """What the sentry goes by."""
        head = BlockNumber(0 if self.head is None else self.head.number)
        keys: dict[Address, list[bytes]] = {}
        for key, record in self._accounts.keys.items():
            if record.until_block == 0 or record.until_block + KEY_OUTLIVES_BLOCKS > head:
                keys.setdefault(record.operator, []).append(key)
        operators = [
            StakedOperator(
                account=account,
                hot_keys=keys.get(account, []),
                peer_id_hash=record.peer_id_hash,
                stake=str(record.active),
            )
            for account, record in self.operators.items()
        ]
        time = 0 if self.head is None else self.head.timestamp
        return RegistrySnapshot(block=head, time=time, operators=operators)

    def leader(self, block: BlockNumber) -> Turn | None:
        """Whose turn a block is, if that is known."""
        return None if self.leaders is None else self.leaders.leader(block)

    def peer_of(self, account: Address) -> PeerIdHash | None:
        """Return the hash of the peer id that an operator with enough stake names."""
        record = self.operators.get(account)
        return None if record is None else record.peer_id_hash

    def key_of(self, account: Address, block: BlockNumber, time: UnixSeconds) -> Address | None:
        """Return the hot key of an operator that was in force at a block and time."""
        for key, record in self._accounts.keys.items():
            if record.operator == account and record.is_in_force(block, time):
                return key
        return None

    def _take_executions(self, told: list[_LogJson], *, is_first: bool) -> None:
        """Take those in that were not told of yet; before the first block all is history but what `resume` says."""
        since = self._tells_from if is_first else BlockNumber(0)
        for log in told:
            if Address(bytes(log.address)) != self.contracts.ledger or log.topics[0] != _EXECUTED:
                continue
            order = _executed_order(log)
            name = order.block_hash, order.order_hash
            if name not in self._told_of:
                self._told_of[name] = None
                if since is not None and order.block >= since:
                    self.executed.append(order)
        while len(self._told_of) > EXECUTIONS_REMEMBERED:
            del self._told_of[next(iter(self._told_of))]

    async def _told(self, header: Header, is_stale: bool) -> list[_LogJson]:
        addresses = [
            address_to_hex(address)
            for address in (
                self.contracts.staking,
                self.contracts.ledger,
                self.contracts.parameters,
                self.contracts.brake,
            )
        ]
        wanted: dict[str, Any] = {"address": addresses}
        if is_stale:
            ranges = logs_by_range(self._endpoints, wanted, self._next, header.number, list[_LogJson])
            return [log async for _, logs in ranges for log in logs]
        wanted["blockHash"] = "0x" + header.hash.hex()
        told: list[_LogJson] = await self._endpoints.call(
            "eth_getLogs", wanted, shape=list[_LogJson], seconds=LOGS_SECONDS
        )
        return told

    async def _read_operators(self, header: Header) -> None:
        wanted = (Parameter.MIN_STAKE, Parameter.PROTOCOL_FEE_BPS)
        queries = [operator_query(self.contracts, account) for account in self._accounts]
        parameters = [parameter_query(self.contracts, parameter) for parameter in wanted]
        minimum, fee, *records = await self.ask([*parameters, *queries], header)
        self.fee_bps = BasisPoints(fee)
        records = self._accounts.judge_accounts(records)
        periods = await self.ask([hot_key_query(self.contracts, key) for key in self._accounts.keys], header)
        self._accounts.judge_keys(periods, header.timestamp)
        enough = sorted((one for one in records if one.active >= minimum), key=lambda one: -one.active)
        self.operators = {one.account: one for one in enough[:MAX_OPERATORS]}
        self.peers = frozenset(one.peer_id_hash for one in self.operators.values())
        self._staked = frozenset(one.account for one in records)

    async def _read_removed(self, header: Header) -> None:
        subjects = list(self._subjects)
        are_removed = await self.ask([removed_query(self.contracts, subject) for subject in subjects], header)
        self.removed = frozenset(
            subject_name(subject) for subject, is_gone in zip(subjects, are_removed, strict=True) if is_gone
        )

    def _begins_epoch(self, header: Header) -> bool:
        return self.leaders is not None and header.number % self.leaders.rules.length == 0

    async def _read_epochs(self, header: Header) -> None:
        contracts = self.contracts
        if self.leaders is None:
            (rules,) = await self.ask([epoch_rules_query(contracts)], header)
            self.leaders = Leaders(rules)
        current = self.leaders.rules.epoch_of(header.number)
        epochs = [current, EpochNumber(current + 1)]
        records = await self.ask([epoch_query(contracts, epoch) for epoch in epochs], header)
        wanted = [
            entry_query(contracts, epoch, index)
            for epoch, record in zip(epochs, records, strict=True)
            for index in range(record.entries)
        ]
        entries = iter(await self.ask(wanted, header))
        rolled = []
        self.checked_in = {}
        for epoch, record in zip(epochs, records, strict=True):
            own = [next(entries) for _ in range(record.entries)]
            self.checked_in[epoch] = frozenset(entry.operator for entry in own)
            if record.is_rolled:
                rolled.append(epoch)
                self.leaders.put(EpochTable(epoch, record.seed, own))
        self.rolled = frozenset(rolled)

    def has_stake(self, account: Address) -> bool:
        """Whether an account has something that could be slashed, be it on its way out."""
        return account in self._staked

    async def would_pass(self, contract: Address, calls: Sequence[bytes], header: Header) -> list[bool]:
        """Tell of each call whether it would go through after a block. Raises RpcError."""
        answers = await self._multicall.read([View(contract, call) for call in calls], header.hash)
        return [answer is not None for answer in answers]

    async def ask(self, queries: list[Query[Any]], header: Header) -> list[Any]:
        """Return the answers after a block. Raises RpcError, also for a contract that does not answer as ours do."""
        if not queries:
            return []
        self.counts["read"] += len(queries)
        answers = await self._multicall.read([View(query.contract, query.data) for query in queries], header.hash)
        try:
            return [query.read(answer or b"") for query, answer in zip(queries, answers, strict=True)]
        except ProtocolError as error:
            self.counts["unreadable"] += 1
            raise RpcGarbage("the network's contracts", "eth_call", str(error)) from None


def _executed_order(log: _LogJson) -> ExecutedOrder:
    """Read `Executed`. Raises RpcGarbage for another form of it."""
    try:
        words = decode(["address", "address", "uint256", "uint256", "uint256"], bytes(log.data), exact=True)
        _, order_hash, primary_key, finder = log.topics
    except (ProtocolError, ValueError) as error:
        raise RpcGarbage("the network's contracts", "eth_getLogs", f"no Executed: {error}") from None
    executor, token, net, paid, fee = words
    return ExecutedOrder(
        order_hash=Hash32(bytes(order_hash)),
        primary_key=LegKey(Hash32(bytes(primary_key))),
        finder=Address(bytes(finder[-ADDRESS_BYTES:])),
        executor=address_from_hex(executor),
        profit_token=address_from_hex(token),
        net=net,
        paid=paid,
        fee=fee,
        transaction_hash=Hash32(bytes(log.transaction_hash)),
        block=BlockNumber(int(log.block_number)),
        block_hash=Hash32(bytes(log.block_hash)),
    )


def subject_name(subject: Hash32) -> bytes:
    """What a subject names: an address, which stands padded on the left, or a pool by its id."""
    padding = HASH_BYTES - ADDRESS_BYTES
    return subject if any(subject[:padding]) else subject[padding:]
