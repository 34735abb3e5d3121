"""The network's contracts through a `ContractCaller`: what they say, and transactions that are waited for.

CallReverted      a view reverted; `data` is what the contract said
CallRefused       a transaction would revert, so it was not sent: in the contract's own words
NotMined          a transaction was sent, and reverted or was not mined in time
"""

from __future__ import annotations

from typing import Final, TypeVar

from governance.caller import ContractCaller, Draft, SeenTransaction
from governance.contracts import error_meanings
from governance.deploy_errors import CallReverted, DeployError
from governance.deploy_plan import BRAKE, COURT, GOVERNOR, LEDGER, PARAMETERS, STAKING, TOKEN, WORK
from governance.network import (
    HotKeyRecord,
    NetworkContracts,
    OperatorRecord,
    Query,
    approve_call,
    check_in_call,
    complete_unstake_call,
    entry_query,
    epoch_query,
    epoch_rules_query,
    hot_key_query,
    operator_query,
    parameter_query,
    register_call,
    report_call,
    request_unstake_call,
    roll_call,
    set_hot_key_call,
    set_peer_id_call,
    stake_call,
)
from governance.policy import Parameter
from governance.reverts import explain_revert
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence
from protocol.leaders import Entry, EpochRules, EpochTable
from protocol.units import (
    ADDRESS_BYTES,
    Address,
    BlockNumber,
    EpochNumber,
    Gas,
    Hash32,
    PeerIdHash,
    SignatureBytes,
    TokenAmount,
    address_to_hex,
)

LOOKS: Final = 120
"""How often the chain is asked for a transaction before it counts as stuck; between two looks the caller pauses."""
_GAS_PARTS: Final = 4
"""A transaction may use a quarter more than was estimated: what it meets may have moved."""
_Answer = TypeVar("_Answer")
_SPEAKERS: Final = {
    STAKING: "staking",
    LEDGER: "ledger",
    COURT: "court",
    BRAKE: "brake",
    WORK: "work",
    GOVERNOR: "governor",
    PARAMETERS: "parameters",
    TOKEN: "token",
}
_HOT_KEY_SET: Final = keccak256(b"HotKeySet(address,address,address)")


class CallRefused(DeployError):
    """A transaction would revert; the text says why in the contract's words."""


class NotMined(DeployError):
    """A transaction was sent and did not do its work."""


class NetworkReader:
    """Reads one network; `caller` is anybody."""

    def __init__(self, caller: ContractCaller, contracts: NetworkContracts, since: BlockNumber) -> None:
        """`since`: a block before the registry's first event, such as that of its deployment."""
        self.contracts = contracts
        self._caller, self._since = caller, since

    async def ask(self, query: Query[_Answer]) -> _Answer:
        """Return the answer to any query of `governance.network`. Raises `CallReverted`, InvalidAbi."""
        return query.read(await self._caller.call(query.contract, query.data))

    async def operator(self, account: Address) -> OperatorRecord:
        """What the registry has of an account."""
        return await self.ask(operator_query(self.contracts, account))

    async def hot_keys(self, account: Address) -> dict[Address, HotKeyRecord]:
        """All hot keys that an operator ever had, the oldest first."""
        told = await self._caller.events(self.contracts.staking, self._since)
        keys = [
            _address(event.topics[2])
            for event in told
            if event.kind == _HOT_KEY_SET and _address(event.topics[1]) == account
        ]
        return {key: await self.ask(hot_key_query(self.contracts, key)) for key in keys}

    async def epoch_rules(self) -> EpochRules:
        """How epochs are cut."""
        return await self.ask(epoch_rules_query(self.contracts))

    async def entries(self, epoch: EpochNumber) -> list[Entry]:
        """Who checked in for an epoch, in that order."""
        count = (await self.ask(epoch_query(self.contracts, epoch))).entries
        return [await self.ask(entry_query(self.contracts, epoch, index)) for index in range(count)]

    async def epoch_table(self, epoch: EpochNumber) -> EpochTable | None:
        """Who leads the blocks of an epoch; None unless it is rolled."""
        record = await self.ask(epoch_query(self.contracts, epoch))
        return EpochTable(epoch, record.seed, await self.entries(epoch)) if record.is_rolled else None

    async def parameter(self, parameter: Parameter) -> int:
        """The value of a parameter."""
        return await self.ask(parameter_query(self.contracts, parameter))


class NetworkClient(NetworkReader):
    """Reads, and acts as the caller's account. Each method returns when its transaction is mined.

    Raises `CallRefused` before anything is sent, `NotMined` after.
    """

    async def register(self, hot_key: Address, peer_id_hash: PeerIdHash, binding: SignatureBytes) -> SeenTransaction:
        """Become an operator; `binding` is the hot key's signature of `HotKeyBinding`."""
        return await self.submit(self.contracts.staking, register_call(hot_key, peer_id_hash, binding))

    async def set_hot_key(self, hot_key: Address, binding: SignatureBytes) -> SeenTransaction:
        """Take another hot key."""
        return await self.submit(self.contracts.staking, set_hot_key_call(hot_key, binding))

    async def set_peer_id(self, peer_id_hash: PeerIdHash) -> SeenTransaction:
        """Be another peer."""
        return await self.submit(self.contracts.staking, set_peer_id_call(peer_id_hash))

    async def stake(self, amount: TokenAmount) -> SeenTransaction:
        """Allow the registry exactly the amount, then stake it."""
        await self.submit(self.contracts.token, approve_call(self.contracts.staking, amount))
        return await self.submit(self.contracts.staking, stake_call(amount))

    async def request_unstake(self, amount: TokenAmount) -> SeenTransaction:
        """Let stake begin to leave."""
        return await self.submit(self.contracts.staking, request_unstake_call(amount))

    async def complete_unstake(self) -> SeenTransaction:
        """Be paid what has left."""
        return await self.submit(self.contracts.staking, complete_unstake_call())

    async def check_in(self, epoch: EpochNumber) -> SeenTransaction:
        """Take part in the next epoch."""
        return await self.submit(self.contracts.ledger, check_in_call(epoch))

    async def roll(self, epoch: EpochNumber, header: bytes) -> SeenTransaction:
        """Give an epoch its seed by the header of its seed block."""
        return await self.submit(self.contracts.ledger, roll_call(epoch, header))

    async def report(self, evidence: Evidence) -> SeenTransaction:
        """Report an offence."""
        return await self.submit(self.contracts.court, report_call(evidence))

    async def submit(self, contract: Address, data: bytes) -> SeenTransaction:
        """Send a transaction to a contract and wait until it is mined."""
        draft = Draft(nonce=await self._caller.nonce(), data=data, gas_limit=Gas(0), to=contract)
        try:
            estimate = await self._caller.estimate(draft)
        except CallReverted as error:
            said = explain_revert(error.data, error_meanings(*self._speakers(contract)))
            raise CallRefused(f"{address_to_hex(contract)}: {said.words}") from error
        limit = Gas(estimate + estimate // _GAS_PARTS)
        signed = await self._caller.sign(Draft(nonce=draft.nonce, data=data, gas_limit=limit, to=contract))
        await self._caller.send(signed)
        return await self._mined(signed.hash)

    def _speakers(self, contract: Address) -> list[str]:
        """Whose errors may come back: the contract's own words first, then of those that it calls."""
        return sorted(_SPEAKERS, key=lambda name: getattr(self.contracts, _SPEAKERS[name]) != contract)

    async def _mined(self, transaction_hash: Hash32) -> SeenTransaction:
        for _ in range(LOOKS):
            seen = await self._caller.transaction(transaction_hash)
            if seen is not None and seen.block is not None:
                if not seen.succeeded:
                    raise NotMined(f"0x{transaction_hash.hex()} reverted in block {seen.block}")
                return seen
            await self._caller.pause()
        raise NotMined(f"0x{transaction_hash.hex()} is in no block after {LOOKS} looks")


def _address(topic: bytes) -> Address:
    return Address(topic[-ADDRESS_BYTES:])
