"""The parameters of the actors: `parameters.toml` read into frozen dataclasses, with every error named at once.

A field's bounds stand beside it. Decimals are read exactly (never through a float), so that one file means the same
amounts on every machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from devnet.errors import DevnetError

DEFAULT_PARAMETERS: Final = Path(__file__).with_name("parameters.toml")

Choices = tuple[tuple[Decimal, int], ...]
"""Values with the weights with which they are drawn."""


class ParametersInvalid(DevnetError):
    """The file of parameters is missing, not TOML, or breaks bounds; the message lists every fault."""


@dataclass(frozen=True, slots=True)
class Within:
    """The bounds of a field, both allowed."""

    low: str
    high: str

    def faults(self, value: Any) -> list[str]:
        """Return what is outside, in words."""
        low, high = Decimal(self.low), Decimal(self.high)
        values = [choice for choice, _ in value] if isinstance(value, tuple) else [value]
        return [f"= {number} is outside {low} to {high}" for number in values if not low <= number <= high]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traders:
    """Uninformed swaps through the routers."""

    trades_per_block: Annotated[Decimal, Within("0", "200")]
    median_usd: Annotated[Decimal, Within("1", "10000000")]
    sigma: Annotated[Decimal, Within("0", "4")]
    minimum_usd: Annotated[Decimal, Within("1", "10000000")]
    maximum_usd: Annotated[Decimal, Within("1", "100000000")]
    maximum_share_of_pool: Annotated[Decimal, Within("0.00001", "0.2")]
    uniswap_v2_share: Annotated[Decimal, Within("0", "1")]
    sushi_v2_share: Annotated[Decimal, Within("0", "1")]
    uniswap_v3_share: Annotated[Decimal, Within("0", "1")]
    balancer_v2_share: Annotated[Decimal, Within("0", "1")]
    multi_hop_share: Annotated[Decimal, Within("0", "1")]
    exact_out_share: Annotated[Decimal, Within("0", "1")]
    ether_share: Annotated[Decimal, Within("0", "1")]
    odd_token_share: Annotated[Decimal, Within("0", "1")]
    slippage: Annotated[Choices, Within("0.00001", "0.5")]
    median_tip_gwei: Annotated[Decimal, Within("0.001", "1000")]
    sigma_tip: Annotated[Decimal, Within("0", "3")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whales:
    """Swaps large against their pool."""

    trades_per_block: Annotated[Decimal, Within("0", "20")]
    minimum_share_of_pool: Annotated[Decimal, Within("0.00001", "0.3")]
    maximum_share_of_pool: Annotated[Decimal, Within("0.00001", "0.3")]
    slippage: Annotated[Choices, Within("0.00001", "0.5")]
    median_tip_gwei: Annotated[Decimal, Within("0.001", "1000")]
    sigma_tip: Annotated[Decimal, Within("0", "3")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Informed:
    """Slow arbitrage towards the reference price."""

    looks: Annotated[Decimal, Within("0", "1")]
    threshold: Annotated[Decimal, Within("0", "0.5")]
    closes: Annotated[Decimal, Within("0.01", "1")]
    maximum_usd: Annotated[Decimal, Within("1", "100000000")]
    median_tip_gwei: Annotated[Decimal, Within("0.001", "1000")]
    sigma_tip: Annotated[Decimal, Within("0", "3")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Liquidity that comes and goes."""

    v2_adds_per_block: Annotated[Decimal, Within("0", "20")]
    v2_removes_per_block: Annotated[Decimal, Within("0", "20")]
    v3_mints_per_block: Annotated[Decimal, Within("0", "20")]
    v3_burns_per_block: Annotated[Decimal, Within("0", "20")]
    minimum_share_of_pool: Annotated[Decimal, Within("0.00001", "0.3")]
    maximum_share_of_pool: Annotated[Decimal, Within("0.00001", "0.3")]
    minimum_spacings: Annotated[int, Within("1", "2000")]
    maximum_spacings: Annotated[int, Within("1", "2000")]
    maximum_positions: Annotated[int, Within("1", "8")]
    median_tip_gwei: Annotated[Decimal, Within("0.001", "1000")]
    sigma_tip: Annotated[Decimal, Within("0", "3")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """The reference price and its feed."""

    volatile_volatility: Annotated[Decimal, Within("0", "0.1")]
    stable_volatility: Annotated[Decimal, Within("0", "0.1")]
    reversion: Annotated[Decimal, Within("0", "1")]
    jump_chance: Annotated[Decimal, Within("0", "1")]
    jump_volatility: Annotated[Decimal, Within("0", "0.3")]
    deviation: Annotated[Decimal, Within("0.0001", "0.5")]
    heartbeat_blocks: Annotated[int, Within("1", "100000")]
    tip_gwei: Annotated[Decimal, Within("0.001", "1000")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrowers:
    """Loans near liquidation."""

    actions_per_block: Annotated[Decimal, Within("0", "20")]
    target_health: Annotated[Decimal, Within("1.001", "10")]
    repay_health: Annotated[Decimal, Within("1", "10")]
    repay_share: Annotated[Decimal, Within("0.01", "1")]
    asleep_share: Annotated[Decimal, Within("0", "1")]
    median_tip_gwei: Annotated[Decimal, Within("0.001", "1000")]
    sigma_tip: Annotated[Decimal, Within("0", "3")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The competing searcher."""

    knows: Annotated[Decimal, Within("0", "1")]
    sees: Annotated[Decimal, Within("0", "1")]
    bid: Annotated[Choices, Within("0", "1")]
    minimum_profit_eth: Annotated[Decimal, Within("0", "100")]
    maximum_share_of_inventory: Annotated[Decimal, Within("0.001", "1")]
    bundles_per_block: Annotated[int, Within("0", "20")]
    backruns: bool
    acts_at: Annotated[Decimal, Within("0", "0.95")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandwicher:
    """The adversary for tests of detection and defence."""

    sees: Annotated[Decimal, Within("0", "1")]
    bid: Annotated[Decimal, Within("0", "1")]
    minimum_profit_eth: Annotated[Decimal, Within("0", "100")]
    maximum_share_of_inventory: Annotated[Decimal, Within("0.001", "1")]
    maximum_victims: Annotated[int, Within("1", "8")]
    sandwiches_per_block: Annotated[int, Within("0", "20")]
    flash_share: Annotated[Decimal, Within("0", "1")]
    greedy_share: Annotated[Decimal, Within("0", "1")]
    acts_at: Annotated[Decimal, Within("0", "0.95")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Everything about the actors that can be set."""

    traders: Traders
    whales: Whales
    informed: Informed
    providers: Providers
    oracle: Oracle
    borrowers: Borrowers
    rival: Rival
    sandwicher: Sandwicher


_SECTIONS: Final[dict[str, type[Any]]] = {
    "traders": Traders,
    "whales": Whales,
    "informed": Informed,
    "providers": Providers,
    "oracle": Oracle,
    "borrowers": Borrowers,
    "rival": Rival,
    "sandwicher": Sandwicher,
}

_ORDERED: Final = (
    ("traders", "minimum_usd", "maximum_usd"),
    ("whales", "minimum_share_of_pool", "maximum_share_of_pool"),
    ("providers", "minimum_share_of_pool", "maximum_share_of_pool"),
    ("providers", "minimum_spacings", "maximum_spacings"),
    ("borrowers", "repay_health", "target_health"),
)
_VENUE_SHARES: Final = ("uniswap_v2_share", "sushi_v2_share", "uniswap_v3_share", "balancer_v2_share")


def load_parameters(path: Path = DEFAULT_PARAMETERS) -> Parameters:
    """Read and validate a file of parameters. Raises `ParametersInvalid`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParametersInvalid(f"{path}: cannot be read: {error}") from error
    return parse_parameters(text, str(path))


def parse_parameters(text: str, origin: str = "parameters") -> Parameters:
    """Validate TOML text; `origin` names it in errors. Raises `ParametersInvalid` with every fault, one a line."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ParametersInvalid(f"{origin}: not TOML: {error}") from error
    faults = [f"unknown section [{name}]" for name in document if name not in _SECTIONS]
    sections: dict[str, dict[str, Any]] = {}
    for name, section in _SECTIONS.items():
        table = document.get(name)
        if not isinstance(table, Mapping):
            faults.append(f"section [{name}] is missing")
            continue
        sections[name] = _read_section(name, section, table, faults)
    faults += _cross_faults(sections)
    if faults:
        raise ParametersInvalid("\n".join(f"{origin}: {fault}" for fault in faults))
    return Parameters(**{name: section(**sections[name]) for name, section in _SECTIONS.items()})


def _read_section(name: str, section: type[Any], table: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    hints = get_type_hints(section, include_extras=True)
    faults.extend(f"{name}.{key} is unknown" for key in table if key not in hints)
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        if key not in table:
            faults.append(f"{name}.{key} is missing")
            continue
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        value = _READERS[kind](table[key])
        wrong = [value] if isinstance(value, str) else [f for w in get_args(hint)[1:] for f in w.faults(value)]
        faults.extend(f"{name}.{key} {fault}" for fault in wrong)
        if not wrong:
            values[key] = value
    return values


def _read_number(raw: Any) -> Decimal | str:
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal)) or not Decimal(raw).is_finite():
        return "must be a number"
    return Decimal(raw)


def _read_integer(raw: Any) -> int | str:
    return "must be a whole number" if isinstance(raw, bool) or not isinstance(raw, int) else raw


def _read_switch(raw: Any) -> bool | str:
    return raw if isinstance(raw, bool) else "must be true or false"


def _read_choices(raw: Any) -> Choices | str:
    wrong = "must be a list of [value, weight], with whole weights above 0"
    if not isinstance(raw, list) or not raw:
        return wrong
    choices = []
    for pair in raw:
        if not isinstance(pair, list) or len(pair) != 2:
            return wrong
        value, weight = _read_number(pair[0]), _read_integer(pair[1])
        if isinstance(value, str) or isinstance(weight, str) or weight <= 0:
            return wrong
        choices.append((value, weight))
    return tuple(choices)


_READERS: Final[dict[Any, Any]] = {
    Decimal: _read_number,
    int: _read_integer,
    bool: _read_switch,
    Choices: _read_choices,
}


def _cross_faults(sections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    faults = []
    for name, low, high in _ORDERED:
        table = sections.get(name, {})
        if low in table and high in table and table[low] > table[high]:
            faults.append(f"{name}.{low} = {table[low]} is above {name}.{high} = {table[high]}")
    traders = sections.get("traders", {})
    shares = [traders[share] for share in _VENUE_SHARES if share in traders]
    if len(shares) == len(_VENUE_SHARES) and sum(shares) != 1:
        faults.append(f"traders: {', '.join(_VENUE_SHARES)} sum to {sum(shares)}, not to 1")
    return faults
