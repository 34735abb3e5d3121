"""How a Safe and its vault stand, read off the chain; the vault's fields by their names in the module's own ABI."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from governance.contracts import VAULT_MODULE, contract
from governance.inventory import InventoryLimits
from governance.network import balance_query
from governance.reading import Reader
from governance.standing import read_symbol
from governance.vaults import ChangeKind
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.units import (
    Address,
    BasisPoints,
    Hash32,
    TokenAmount,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
)

_CHANGED: Final = Hash32(keccak256(b"Changed(address,uint8,address,uint256,address)"))
_TOKEN: Final = Hash32(int(ChangeKind.TOKEN).to_bytes(32, "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedToken:
    """A token that executions may draw, at most `max_draw` each time, and what the Safe has of it."""

    token: Address
    symbol: str
    decimals: int
    max_draw: TokenAmount
    held: TokenAmount


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeStanding:
    """A Safe: who owns it, how many must sign, which transaction is next, whether it lets the module act."""

    safe: Address
    owners: tuple[Address, ...]
    threshold: int
    nonce: int
    has_module: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryStanding:
    """A vault's limits in inventory mode, the unit in which it is valued, and what is in its two buckets now."""

    limits: InventoryLimits
    symbol: str
    decimals: int
    lost: TokenAmount
    sold: TokenAmount


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultStanding:
    """A vault's settings."""

    opened: bool
    paused: bool
    operator: Address
    executor: Address
    bid_cap: Wei
    generation: int
    hot_key_wei: Wei


async def read_safe(reader: Reader, safe: Address, module: Address) -> SafeStanding:
    """Return how a Safe stands. Raises `ContractMissing` if there is none."""
    (owners,) = await reader.view(safe, "getOwners()", ["address[]"])
    (enabled,) = await reader.view(safe, "isModuleEnabled(address)", ["bool"], address_to_hex(module))
    return SafeStanding(
        safe=safe,
        owners=tuple(address_from_hex(owner) for owner in owners),
        threshold=await reader.number(safe, "getThreshold()"),
        nonce=await reader.number(safe, "nonce()"),
        has_module=enabled,
    )


async def read_vault(reader: Reader, safe: Address, module: Address) -> VaultStanding:
    """Return a vault's settings; one that was never opened has none."""
    names, types = _vault_fields()
    (values,) = await reader.view(module, "vaultOf(address)", [f"({','.join(types)})"], address_to_hex(safe))
    found: dict[str, Any] = dict(zip(names, values, strict=True))
    operator = address_from_hex(found["operator"])
    wei = await reader.rpc.call("eth_getBalance", found["operator"], reader.block)
    return VaultStanding(
        opened=found["opened"],
        paused=found["paused"],
        operator=operator,
        executor=address_from_hex(found["executor"]),
        bid_cap=Wei(found["bidCap"]),
        generation=found["generation"],
        hot_key_wei=Wei(int(wei, 16)),
    )


def executor_of(answer: bytes) -> Address:
    """Return the executor out of what `vaultOf(address)` answers. Raises MalformedMessage."""
    names, types = _vault_fields()
    (values,) = decode([f"({','.join(types)})"], answer)
    return address_from_hex(values[names.index("executor")])


async def read_inventory(reader: Reader, safe: Address, module: Address) -> InventoryStanding | None:
    """Return a vault's limits in inventory mode, and how much of them is used; None where that mode is off."""
    at = address_to_hex(safe)
    (found,) = await reader.view(module, "inventoryOf(address)", ["(address,uint8,uint16,uint16,uint128,uint128)"], at)
    unit, _decimals, loss_band, agreement, max_loss, max_turnover = found
    if not int(unit, 16):
        return None
    lost, sold = await reader.view(module, "levelsOf(address)", ["uint256", "uint256"], at)
    symbol, decimals = await read_symbol(reader, address_from_hex(unit))
    limits = InventoryLimits(
        unit=address_from_hex(unit),
        loss_band=BasisPoints(loss_band),
        agreement=BasisPoints(agreement),
        max_loss=TokenAmount(max_loss),
        max_turnover=TokenAmount(max_turnover),
    )
    return InventoryStanding(
        limits=limits, symbol=symbol, decimals=decimals, lost=TokenAmount(lost), sold=TokenAmount(sold)
    )


async def read_due(reader: Reader, safe: Address, module: Address, change: tuple[int, str, int]) -> UnixSeconds | None:
    """Return when a proposed change can be made; None if it is not proposed, or void."""
    signature = "dueAt(address,(uint8,address,uint256))"
    due = await reader.number(module, signature, address_to_hex(safe), change)
    return UnixSeconds(due) if due else None


async def read_pinned(reader: Reader, safe: Address, module: Address) -> list[PinnedToken]:
    """Return the tokens that are pinned, out of all that ever were, with what the Safe has of them."""
    topics = (_CHANGED, Hash32(safe.rjust(32, b"\0")), _TOKEN)
    told = await reader.events(module, *topics, since=reader.network.vaults_since)
    ever = dict.fromkeys(decode(["address", "uint256", "address"], event.data)[0] for event in told)
    found = []
    for token in map(address_from_hex, ever):
        pinned, most = await reader.view(
            module, "limitOf(address,address)", ["bool", "uint128"], address_to_hex(safe), address_to_hex(token)
        )
        if pinned:
            symbol, decimals = await read_symbol(reader, token)
            held = await reader.ask(balance_query(token, safe))
            found.append(
                PinnedToken(token=token, symbol=symbol, decimals=decimals, max_draw=TokenAmount(most), held=held)
            )
    return found


@cache
def _vault_fields() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and types of a vault's settings as the module has them."""
    (view,) = (entry for entry in contract(VAULT_MODULE).abi if entry.get("name") == "vaultOf")
    members = view["outputs"][0]["components"]
    return tuple(member["name"] for member in members), tuple(member["type"] for member in members)
