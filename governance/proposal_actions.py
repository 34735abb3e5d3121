"""What a proposal does, as typed actions that describe themselves, read back from the chain the same way. Pure.

What an action says of itself is made from its fields alone, and an action
that is decoded from another's proposal has the same type and the same words: nobody has to believe a description. A
call that is none of ours decodes to `OtherCall`, which shows what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from governance.amounts import ETHER, HFT
from governance.network import NetworkContracts
from governance.policy import PARAMETER_BOUNDS, Parameter
from protocol.errors import ProtocolError
from protocol.ethereum.abi import SELECTOR_BYTES, decode, encode_call, selector
from protocol.units import Address, Hash32, TokenAmount, Wei, address_from_hex, address_to_hex


class ProposalUnfit(Exception):
    """An action or a proposal that the contracts would refuse; says why."""


@dataclass(frozen=True, slots=True)
class SetParameter:
    """Set a parameter, within its bounds."""

    parameter: Parameter
    value: int

    def __post_init__(self) -> None:
        least, most = PARAMETER_BOUNDS[self.parameter]
        if not least <= self.value <= most:
            raise ProposalUnfit(
                f"{parameter_name(self.parameter)} is between {parameter_words(self.parameter, least)} and "
                f"{parameter_words(self.parameter, most)}, not {parameter_words(self.parameter, self.value)}"
            )

    def words(self) -> str:
        """Say what it does."""
        return f"set {parameter_name(self.parameter)} to {parameter_words(self.parameter, self.value)}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a venue, token or pool out of use, for ever."""

    subject: Hash32

    def words(self) -> str:
        """Say what it does."""
        return f"take {subject_words(self.subject)} out of use, for ever"


@dataclass(frozen=True, slots=True)
class FundStream:
    """Give the stream of its own token, out of the Timelock's."""

    token: Address
    amount: TokenAmount

    def words(self) -> str:
        """Say what it does."""
        return f"give the reward stream {self.amount} of the smallest units of {address_to_hex(self.token)}"


@dataclass(frozen=True, slots=True)
class Mint:
    """Mint HFT for somebody, up to the cap."""

    to: Address
    amount: TokenAmount

    def words(self) -> str:
        """Say what it does."""
        return f"mint {HFT.shown(self.amount)} for {address_to_hex(self.to)}"


@dataclass(frozen=True, slots=True)
class AllowWork:
    """Let the work rewards take HFT of the Timelock."""

    amount: TokenAmount

    def words(self) -> str:
        """Say what it does."""
        return f"let the work rewards take {HFT.shown(self.amount)} of the Timelock"


@dataclass(frozen=True, slots=True)
class FundWork:
    """Put HFT of the Timelock into the pot of the week in which this is executed."""

    amount: TokenAmount

    def words(self) -> str:
        """Say what it does."""
        return f"put {HFT.shown(self.amount)} into the week's pot for alerts"


@dataclass(frozen=True, slots=True)
class CancelSlash:
    """Give a penalty in escrow back."""

    offence: Hash32

    def words(self) -> str:
        """Say what it does."""
        return f"cancel the slash for offence 0x{self.offence.hex()} and give the stake back"


@dataclass(frozen=True, slots=True)
class ReleaseBrake:
    """End the pause of everything."""

    def words(self) -> str:
        """Say what it does."""
        return "release the brake: executions go on"


@dataclass(frozen=True, slots=True)
class ReleaseScope:
    """End the pause of one subject."""

    subject: Hash32

    def words(self) -> str:
        """Say what it does."""
        return f"release the brake on {subject_words(self.subject)}"


@dataclass(frozen=True, slots=True)
class SetExecutor:
    """Say whether a contract may open orders."""

    executor: Address
    is_executor: bool

    def words(self) -> str:
        """Say what it does."""
        return f"{'let' if self.is_executor else 'no longer let'} {address_to_hex(self.executor)} execute orders"


@dataclass(frozen=True, slots=True)
class OtherCall:
    """A call that is none of the above: told as it is, for a reader to be wary of."""

    target: Address
    value: Wei
    data: bytes

    def words(self) -> str:
        """Say what it does."""
        sent = f" with {ETHER.shown(self.value)}" if self.value else ""
        return f"UNKNOWN CALL of {address_to_hex(self.target)}{sent}: 0x{self.data.hex()}"


ProposalAction: TypeAlias = (
    SetParameter
    | Remove
    | FundStream
    | Mint
    | AllowWork
    | FundWork
    | CancelSlash
    | ReleaseBrake
    | ReleaseScope
    | SetExecutor
    | OtherCall
)
_TRANSFER: Final = "transfer(address,uint256)"


def call_of(network: NetworkContracts, action: ProposalAction) -> OtherCall:
    """Return the call that an action makes."""
    if isinstance(action, OtherCall):
        return action
    if isinstance(action, FundStream):
        data = encode_call(_TRANSFER, address_to_hex(network.stream), action.amount)
        return OtherCall(action.token, Wei(0), data)
    contract, signature, arguments = _written(network, action)
    return OtherCall(contract, Wei(0), encode_call(signature, *arguments))


def _written(network: NetworkContracts, action: ProposalAction) -> tuple[Address, str, tuple[Any, ...]]:
    """Return contract, signature and arguments of an action's call."""
    match action:
        case SetParameter(parameter, value):
            return network.parameters, "set(uint8,uint256)", (int(parameter), value)
        case Remove(subject):
            return network.parameters, "remove(bytes32)", (subject,)
        case Mint(to, amount):
            return network.token, "mint(address,uint256)", (address_to_hex(to), amount)
        case AllowWork(amount):
            return network.token, "approve(address,uint256)", (address_to_hex(network.work), amount)
        case FundWork(amount):
            return network.work, "fund(uint256)", (amount,)
        case CancelSlash(offence):
            return network.court, "cancel(bytes32)", (offence,)
        case ReleaseBrake():
            return network.brake, "release()", ()
        case ReleaseScope(subject):
            return network.brake, "releaseScope(bytes32)", (subject,)
        case SetExecutor(executor, is_executor):
            return network.ledger, "setExecutor(address,bool)", (address_to_hex(executor), is_executor)
        case _:
            raise TypeError(f"{type(action).__name__} has no call of its own")


_READERS: Final[Mapping[tuple[str, str, tuple[str, ...]], Callable[..., ProposalAction]]] = {
    ("parameters", "set", ("uint8", "uint256")): lambda parameter, value: SetParameter(Parameter(parameter), value),
    ("parameters", "remove", ("bytes32",)): Remove,
    ("token", "mint", ("address", "uint256")): lambda to, amount: Mint(address_from_hex(to), amount),
    ("work", "fund", ("uint256",)): FundWork,
    ("court", "cancel", ("bytes32",)): CancelSlash,
    ("brake", "release", ()): ReleaseBrake,
    ("brake", "releaseScope", ("bytes32",)): ReleaseScope,
    ("ledger", "setExecutor", ("address", "bool")): lambda to, may: SetExecutor(address_from_hex(to), may),
}


def decode_call(network: NetworkContracts, call: OtherCall) -> ProposalAction:
    """Return what a call in a proposal is. Never raises: what is not one of ours, to the byte, stays `OtherCall`."""
    try:
        found = _decoded(network, call)
    except (ProtocolError, ProposalUnfit, ValueError):
        return call
    return found if found is not None and call_of(network, found) == call else call


def _decoded(network: NetworkContracts, call: OtherCall) -> ProposalAction | None:
    for (contract, name, types), build in _READERS.items():
        if call.target == getattr(network, contract) and call.data[:SELECTOR_BYTES] == selector(
            f"{name}({','.join(types)})"
        ):
            return build(*decode(types, call.data[SELECTOR_BYTES:]))
    if call.data[:SELECTOR_BYTES] == selector(_TRANSFER):
        to, amount = decode(["address", "uint256"], call.data[SELECTOR_BYTES:])
        return FundStream(call.target, amount) if address_from_hex(to) == network.stream else None
    if call.target == network.token and call.data[:SELECTOR_BYTES] == selector("approve(address,uint256)"):
        spender, amount = decode(["address", "uint256"], call.data[SELECTOR_BYTES:])
        return AllowWork(amount) if address_from_hex(spender) == network.work else None
    return None


def parameter_name(parameter: Parameter) -> str:
    """Return a parameter's name on the command line, for example `min-stake`."""
    return parameter.name.lower().replace("_", "-")


def parameter_words(parameter: Parameter, value: int) -> str:
    """Return a parameter's value with its unit."""
    return HFT.shown(value) if parameter is Parameter.MIN_STAKE else f"{value / 100:g} %"


def subject_words(subject: Hash32) -> str:
    """Return a subject as an address if it is one, else as 32 bytes."""
    padding = len(subject) - 20
    return "0x" + (subject[padding:].hex() if not any(subject[:padding]) else subject.hex())
