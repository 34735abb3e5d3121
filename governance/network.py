"""The network's contracts as Python sees them: where they stand, what they are asked, what they are told. Pure.

A `Query` is a call of a view and how its answer reads: `client.NetworkReader` asks one by one through a
`ContractCaller`, the engine many at once through its own multicall. The `…_call` functions give call data for
transactions. Amounts in smallest units, times in Unix seconds. What does not decode raises InvalidAbi.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from governance.deploy_plan import (
    BRAKE,
    COURT,
    GOVERNOR,
    LEDGER,
    PARAMETERS,
    STAKING,
    STREAM,
    TIMELOCK,
    TOKEN,
    WORK,
)
from governance.policy import Parameter
from protocol.ethereum.abi import decode, encode_call
from protocol.evidence import Evidence
from protocol.leaders import Entry, EpochRules
from protocol.units import (
    ZERO_ADDRESS,
    Address,
    BlockNumber,
    EpochNumber,
    Hash32,
    PeerIdHash,
    SignatureBytes,
    StakeUnits,
    TokenAmount,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
)

_Answer = TypeVar("_Answer")
_OPERATOR: Final = "(address,uint96,uint96,uint48,uint48,uint96,bytes32)"
_HOT_KEY: Final = "(address,uint48,uint48,uint48,uint48)"
_EPOCH: Final = "(bytes32,uint96,uint32,bool)"
_ENTRY: Final = "(address,uint96)"
_CUT: Final = "(uint256,uint256,uint256)"
_VAULT: Final = "(address,uint88,bool,address,bool,uint64)"
_OFFENCE: Final = "(address,uint96,address,uint48,uint8)"
_REPORT: Final = "report((uint8,address,bytes,bytes,bytes,bytes))"


class NetworkContracts(msgspec.Struct, frozen=True, kw_only=True):
    """Where one network's contracts stand."""

    token: Address
    staking: Address
    court: Address
    parameters: Address
    brake: Address
    stream: Address
    ledger: Address
    work: Address
    governor: Address
    timelock: Address

    @classmethod
    def of(cls, deployed: Mapping[str, Address]) -> NetworkContracts:
        """Return them out of what `deploy` returned. Raises `KeyError` for one that is missing."""
        return cls(
            token=deployed[TOKEN],
            staking=deployed[STAKING],
            court=deployed[COURT],
            parameters=deployed[PARAMETERS],
            brake=deployed[BRAKE],
            stream=deployed[STREAM],
            ledger=deployed[LEDGER],
            work=deployed[WORK],
            governor=deployed[GOVERNOR],
            timelock=deployed[TIMELOCK],
        )


class OperatorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One operator as the registry has it; see INodeStaking.sol."""

    account: Address
    hot_key: Address
    active: StakeUnits
    leaving: StakeUnits
    ready_at: UnixSeconds
    locked_through: BlockNumber
    locked: StakeUnits
    peer_id_hash: PeerIdHash

    @property
    def is_registered(self) -> bool:
        """Whether the account is an operator."""
        return self.hot_key != ZERO_ADDRESS


class HotKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a hot key is and when it was in force; `until_block` 0: it still is."""

    operator: Address
    from_block: BlockNumber
    from_time: UnixSeconds
    until_block: BlockNumber
    until_time: UnixSeconds

    def is_in_force(self, block: BlockNumber, time: UnixSeconds) -> bool:
        """Whether what says this block and time may be signed by the key."""
        is_over = self.until_block != 0 and (block >= self.until_block or time >= self.until_time)
        return block >= self.from_block and time >= self.from_time and not is_over


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch as the ledger has it; `seed` is zero until it is rolled."""

    seed: Hash32
    total_stake: StakeUnits
    entries: int
    is_rolled: bool


class OffenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One offence as the court has it. `state`: 0 unknown, 1 in escrow, 2 settled, 3 cancelled."""

    operator: Address
    amount: TokenAmount
    reporter: Address
    settle_at: UnixSeconds
    state: int


class Query(NamedTuple, Generic[_Answer]):
    """A call of a view, and how its answer reads."""

    contract: Address
    data: bytes
    read: Callable[[bytes], _Answer]


# Queries


def operator_query(contracts: NetworkContracts, account: Address) -> Query[OperatorRecord]:
    """What the registry has of an account; also of one that never registered."""

    def read(answer: bytes) -> OperatorRecord:
        hot_key, active, leaving, ready_at, locked_through, locked, peer = _struct(_OPERATOR, answer)
        return OperatorRecord(
            account=account,
            hot_key=address_from_hex(hot_key),
            active=active,
            leaving=leaving,
            ready_at=ready_at,
            locked_through=locked_through,
            locked=locked,
            peer_id_hash=PeerIdHash(Hash32(peer)),
        )

    return Query(contracts.staking, encode_call("operatorAt(address)", address_to_hex(account)), read)


def hot_key_query(contracts: NetworkContracts, key: Address) -> Query[HotKeyRecord]:
    """Whose a key is; also of one that is nobody's."""

    def read(answer: bytes) -> HotKeyRecord:
        operator, from_block, from_time, until_block, until_time = _struct(_HOT_KEY, answer)
        return HotKeyRecord(
            operator=address_from_hex(operator),
            from_block=from_block,
            from_time=from_time,
            until_block=until_block,
            until_time=until_time,
        )

    return Query(contracts.staking, encode_call("hotKeyAt(address)", address_to_hex(key)), read)


def epoch_rules_query(contracts: NetworkContracts) -> Query[EpochRules]:
    """How epochs are cut."""

    def read(answer: bytes) -> EpochRules:
        length, cut_off, lag = _struct(_CUT, answer)
        return EpochRules(length, cut_off, lag)

    return Query(contracts.ledger, encode_call("cut()"), read)


def epoch_query(contracts: NetworkContracts, epoch: EpochNumber) -> Query[EpochRecord]:
    """An epoch as it stands."""

    def read(answer: bytes) -> EpochRecord:
        seed, total, entries, is_rolled = _struct(_EPOCH, answer)
        return EpochRecord(seed=Hash32(seed), total_stake=total, entries=entries, is_rolled=is_rolled)

    return Query(contracts.ledger, encode_call("epochAt(uint256)", epoch), read)


def entry_query(contracts: NetworkContracts, epoch: EpochNumber, index: int) -> Query[Entry]:
    """One check-in of an epoch, counted from 0."""

    def read(answer: bytes) -> Entry:
        operator, cumulative = _struct(_ENTRY, answer)
        return Entry(address_from_hex(operator), cumulative)

    return Query(contracts.ledger, encode_call("entryAt(uint256,uint256)", epoch, index), read)


def parameter_query(contracts: NetworkContracts, parameter: Parameter) -> Query[int]:
    """The value of a parameter."""
    return Query(contracts.parameters, encode_call("valueOf(uint8)", int(parameter)), _number)


def paused_query(contracts: NetworkContracts) -> Query[bool]:
    """Whether everything is paused."""
    return Query(contracts.brake, encode_call("isPaused()"), _truth)


def scope_paused_query(contracts: NetworkContracts, subject: Hash32) -> Query[bool]:
    """Whether a pool, token or venue is paused; also while everything is."""
    return Query(contracts.brake, encode_call("isScopePaused(bytes32)", subject), _truth)


def removed_query(contracts: NetworkContracts, subject: Hash32) -> Query[bool]:
    """Whether governance has taken a pool, token or venue out of use."""
    return Query(contracts.parameters, encode_call("isRemoved(bytes32)", subject), _truth)


def executor_query(contracts: NetworkContracts, executor: Address) -> Query[bool]:
    """Whether a contract may open orders."""
    return Query(contracts.ledger, encode_call("isExecutor(address)", address_to_hex(executor)), _truth)


def balance_query(token: Address, holder: Address) -> Query[TokenAmount]:
    """What an account has of an ERC-20 token."""
    data = encode_call("balanceOf(address)", address_to_hex(holder))
    return Query(token, data, lambda answer: TokenAmount(_number(answer)))


def offence_query(contracts: NetworkContracts, offence_id: Hash32) -> Query[OffenceRecord]:
    """What became of an offence."""

    def read(answer: bytes) -> OffenceRecord:
        operator, amount, reporter, settle_at, state = _struct(_OFFENCE, answer)
        return OffenceRecord(
            operator=address_from_hex(operator),
            amount=amount,
            reporter=address_from_hex(reporter),
            settle_at=settle_at,
            state=state,
        )

    return Query(contracts.court, encode_call("offenceAt(bytes32)", offence_id), read)


class VaultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A vault as the module has it; see IVaultModule.sol."""

    operator: Address
    bid_cap: Wei
    is_paused: bool
    executor: Address
    is_opened: bool

    @property
    def is_live(self) -> bool:
        """Whether its hot key can execute anything."""
        return self.is_opened and not self.is_paused and self.executor != ZERO_ADDRESS


def vault_query(module: Address, safe: Address) -> Query[VaultRecord]:
    """A Safe's vault."""

    def read(answer: bytes) -> VaultRecord:
        operator, bid_cap, is_paused, executor, is_opened, _ = _struct(_VAULT, answer)
        return VaultRecord(
            operator=address_from_hex(operator),
            bid_cap=bid_cap,
            is_paused=is_paused,
            executor=address_from_hex(executor),
            is_opened=is_opened,
        )

    return Query(module, encode_call("vaultOf(address)", address_to_hex(safe)), read)


# Transactions


def approve_call(spender: Address, amount: TokenAmount) -> bytes:
    """Of an ERC-20 token: let `spender` take so much of ours."""
    return encode_call("approve(address,uint256)", address_to_hex(spender), amount)


def transfer_call(recipient: Address, amount: TokenAmount) -> bytes:
    """Of an ERC-20 token: give so much of ours."""
    return encode_call("transfer(address,uint256)", address_to_hex(recipient), amount)


def register_call(hot_key: Address, peer_id_hash: PeerIdHash, binding: SignatureBytes) -> bytes:
    """Of the registry: become an operator. `binding` is the hot key's signature of `HotKeyBinding`."""
    return encode_call("register(address,bytes32,bytes)", address_to_hex(hot_key), peer_id_hash, binding)


def set_hot_key_call(hot_key: Address, binding: SignatureBytes) -> bytes:
    """Of the registry: take another hot key; the former ends at this block."""
    return encode_call("setHotKey(address,bytes)", address_to_hex(hot_key), binding)


def set_peer_id_call(peer_id_hash: PeerIdHash) -> bytes:
    """Of the registry: be another peer."""
    return encode_call("setPeerId(bytes32)", peer_id_hash)


def stake_call(amount: TokenAmount) -> bytes:
    """Of the registry: stake more; it takes the amount, which must be approved."""
    return encode_call("stake(uint256)", amount)


def request_unstake_call(amount: TokenAmount) -> bytes:
    """Of the registry: let stake begin to leave, for 21 days."""
    return encode_call("requestUnstake(uint256)", amount)


def complete_unstake_call() -> bytes:
    """Of the registry: be paid what has left."""
    return encode_call("completeUnstake()")


def check_in_call(epoch: EpochNumber) -> bytes:
    """Of the ledger: take part in the next epoch; by the account or its hot key."""
    return encode_call("checkIn(uint256)", epoch)


def roll_call(epoch: EpochNumber, header: bytes) -> bytes:
    """Of the ledger: give an epoch its seed by the header (RLP) of its seed block; by anybody."""
    return encode_call("roll(uint256,bytes)", epoch, header)


def report_call(evidence: Evidence) -> bytes:
    """Of the court: report an offence; by anybody."""
    statements = (
        evidence.statement_a.words(),
        bytes(evidence.signature_a),
        evidence.statement_b.words(),
        bytes(evidence.signature_b),
    )
    return encode_call(_REPORT, (int(evidence.kind), address_to_hex(evidence.operator), *statements))


def settle_call(offence_id: Hash32) -> bytes:
    """Of the court: end an escrow that is due; by anybody."""
    return encode_call("settle(bytes32)", offence_id)


def _struct(members: str, answer: bytes) -> tuple[Any, ...]:
    (values,) = decode([members], answer)
    return tuple(values)


def _number(answer: bytes) -> int:
    return int(decode(["uint256"], answer)[0])


def _truth(answer: bytes) -> bool:
    return bool(decode(["bool"], answer)[0])
