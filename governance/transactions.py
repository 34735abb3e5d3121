"""Simulates, signs and sends actions, and says how each ended. Over the `Rpc` that it is given; keeps no state.

TransactionError
├── ActionRefused      it would revert, or it did: the contract's reason in words
├── CannotPay          the account cannot pay for the gas
├── NotMined           the deadline passed; the transaction may still be mined
└── WrongChain         the node is on another chain than the network
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from governance.actions import Action
from governance.amounts import ETHER
from governance.caller import PRIORITY_FEE, Rpc
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import KeccakSigner
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, Wei, address_to_hex

_BASE_FEES_AHEAD: Final = 2
_GAS_RESERVE_PERCENT: Final = 150
"""The gas limit is so much of what the simulation used: refunds come after it, and state may move meanwhile."""
_METHOD_UNKNOWN: Final = frozenset({-32601, -32004})


class TransactionError(Exception):
    """An action could not be carried out."""


class ActionRefused(TransactionError):
    """It would revert, or it did."""

    def __init__(self, title: str, reason: str, name: str) -> None:
        super().__init__(f"{title}: {reason}")
        self.title, self.reason, self.name = title, reason, name


class CannotPay(TransactionError):
    """The account cannot pay for the gas."""


class NotMined(TransactionError):
    """The deadline passed; the transaction may still be mined."""


class WrongChain(TransactionError):
    """The node is on another chain than the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What an action would use, and the most that it would cost at today's price. `gas` 0: its turn has not come."""

    action: Action
    gas: Gas

    @property
    def limit(self) -> Gas:
        """The gas limit that it is sent with."""
        return Gas(self.gas * _GAS_RESERVE_PERCENT // 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of an action."""

    title: str
    transaction: Hash32
    block: BlockNumber
    gas_used: Gas
    cost: Wei


class Sender:
    """Carries out actions for one account, one after the other."""

    def __init__(self, rpc: Rpc, chain_id: ChainId, key: KeccakSigner, *, priority_fee: Wei = PRIORITY_FEE) -> None:
        self._rpc, self._chain_id, self._key, self._priority_fee = rpc, chain_id, key, priority_fee

    @property
    def account(self) -> Address:
        """Who pays and signs."""
        return Address(bytes.fromhex(self._key.address[2:]))

    async def gas_price(self) -> Wei:
        """The most that a unit of gas may cost, as transactions are signed now."""
        head = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        return Wei(_BASE_FEES_AHEAD * int(head["baseFeePerGas"], 16) + self._priority_fee)

    async def simulate(self, actions: Sequence[Action]) -> list[Simulated]:
        """Run the actions one after the other on the latest state, and keep nothing. Raises `ActionRefused`.

        With a node that cannot simulate several, the first is estimated and the others come out with gas 0.
        """
        if (on := int(await self._rpc.call("eth_chainId"), 16)) != self._chain_id:
            raise WrongChain(f"the node is on chain {on}, the network on {self._chain_id}")
        calls = [self._request(action) for action in actions]
        head = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        # In the head's own second a checkpoint of votes would be changed, in a later one a new one is written.
        following = {"number": hex(int(head["number"], 16) + 1), "time": hex(int(head["timestamp"], 16) + 1)}
        block = {"blockOverrides": following, "calls": calls}
        try:
            blocks = await self._rpc.call("eth_simulateV1", {"blockStateCalls": [block]}, "latest")
        except Exception as error:
            if getattr(error, "code", None) not in _METHOD_UNKNOWN:
                raise
            first = await self._estimate(actions[0])
            return [first, *(Simulated(action=action, gas=Gas(0)) for action in actions[1:])]
        found = []
        for action, result in zip(actions, blocks[0]["calls"], strict=True):
            if int(result["status"], 16) != 1:
                data = result.get("returnData") or (result.get("error") or {}).get("data") or "0x"
                raise _refused(action, bytes.fromhex(data[2:]))
            found.append(Simulated(action=action, gas=Gas(int(result["gasUsed"], 16))))
        return found

    async def require_funds(self, simulated: Sequence[Simulated]) -> Wei:
        """Return the most that the actions cost. Raises `CannotPay`."""
        price = await self.gas_price()
        cost = Wei(sum(price * each.limit + each.action.value for each in simulated))
        has = Wei(int(await self._rpc.call("eth_getBalance", self._key.address, "latest"), 16))
        if has < cost:
            raise CannotPay(f"{self._key.address} has {ETHER.shown(has)} and needs up to {ETHER.shown(cost)} for gas")
        return cost

    async def send(self, simulated: Simulated) -> Hash32:
        """Sign an action at today's price and hand it to the node; one whose turn has come only now is simulated."""
        if not simulated.gas:
            simulated = await self._estimate(simulated.action)
        action = simulated.action
        # `pending`, not `latest`: an earlier transaction of ours that still waits is followed, not replaced.
        nonce = int(await self._rpc.call("eth_getTransactionCount", self._key.address, "pending"), 16)
        fields = DynamicFeeFields(
            chain_id=self._chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=self._priority_fee,
            max_fee_per_gas=await self.gas_price(),
            gas_limit=simulated.limit,
            to=address_to_hex(action.to),
            value=action.value,
            data=action.data,
        )
        raw = sign_dynamic_fee(fields, self._key)
        await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        return Hash32(keccak256(raw))

    async def receipt(self, action: Action, transaction: Hash32) -> Receipt | None:
        """Return what became of an action, None while it waits. Raises `ActionRefused` if it reverted."""
        mined = await self._rpc.call("eth_getTransactionReceipt", "0x" + transaction.hex())
        if mined is None:
            return None
        block = BlockNumber(int(mined["blockNumber"], 16))
        gas_used = Gas(int(mined["gasUsed"], 16))
        if int(mined["status"], 16) != 1:
            sent = await self._rpc.call("eth_getTransactionByHash", "0x" + transaction.hex())
            if gas_used == int(sent["gas"], 16):
                raise ActionRefused(action.title, f"it ran out of its {gas_used} gas: try again", "OutOfGas")
            raise await self._why(action, block)
        cost = Wei(gas_used * int(mined["effectiveGasPrice"], 16) + action.value)
        return Receipt(title=action.title, transaction=transaction, block=block, gas_used=gas_used, cost=cost)

    async def _why(self, action: Action, block: BlockNumber) -> ActionRefused:
        """Ask again at the block in which it reverted."""
        try:
            await self._rpc.call("eth_call", self._request(action), hex(block))
        except Exception as error:
            if (data := _revert_data(error)) is None:
                raise
            return _refused(action, data)
        return ActionRefused(action.title, "reverted in its block, and would not now: try again", "Transient")

    async def _estimate(self, action: Action) -> Simulated:
        try:
            gas = int(await self._rpc.call("eth_estimateGas", self._request(action)), 16)
        except Exception as error:
            if (data := _revert_data(error)) is None:
                raise
            raise _refused(action, data) from error
        return Simulated(action=action, gas=Gas(gas))

    def _request(self, action: Action) -> dict[str, Any]:
        return {
            "from": self._key.address,
            "to": address_to_hex(action.to),
            "data": "0x" + action.data.hex(),
            "value": hex(action.value),
        }


def _refused(action: Action, data: bytes) -> ActionRefused:
    revert = action.explain(data)
    return ActionRefused(action.title, revert.words, revert.name)


def _revert_data(error: Exception) -> bytes | None:
    """Return the data of a revert that a node tells as an error; None if the error is another."""
    data = getattr(error, "data", None)
    if isinstance(data, str) and data.startswith("0x"):
        return bytes.fromhex(data[2:])
    return b"" if "revert" in str(error).lower() else None
