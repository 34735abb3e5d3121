"""The file that says what network is to be deployed: TOML -> chain and `NetworkSettings`. Pure; opens nothing.

    chain_id = 1
    guardian = "0x…"                     # the Safe that may pause
    supply_holder = "0x…"                # gets the initial supply
    initial_supply = "10,000,000 HFT"
    fee_token = "0x…"                    # what the reward stream pays out

    [bindings]                           # with it vault module and executor are deployed too
    weth = "0x…"
    uniswap_v2 = { factory = "0x…", init_code_hash = "0x…", fee_pips = 3000 }

`[cut]` and `[governance]` have the members of `EpochCut` and `Governance`. What is misspelt, missing or no amount is
refused with its place.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

import msgspec

from governance.amounts import HFT, AmountUnfit
from governance.contracts import ExecutorBindings, VenueFactory
from governance.deploy_errors import SettingsRefused
from governance.deploy_settings import EpochCut, Governance, NetworkSettings
from protocol.errors import ProtocolError
from protocol.units import ZERO_ADDRESS, Address, BasisPoints, ChainId, TokenAmount, address_from_hex

_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}\Z")
_DEFAULTS: Final = NetworkSettings(
    guardian=ZERO_ADDRESS, supply_holder=ZERO_ADDRESS, initial_supply=TokenAmount(0), fee_token=ZERO_ADDRESS
)


class _Venue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    factory: str
    init_code_hash: str
    fee_pips: int = 0


class _Bindings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weth: str
    uniswap_v2: _Venue
    sushi_swap: _Venue
    uniswap_v3: _Venue
    balancer_vault: str
    aave_pool: str
    pool_manager: str
    morpho: str
    curve_pools: list[str] = []
    flash_lenders: list[str] = []


class _Cut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    length: int = _DEFAULTS.cut.length
    cut_off: int = _DEFAULTS.cut.cut_off
    lag: int = _DEFAULTS.cut.lag


class _Governance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    voting_delay: int = _DEFAULTS.governance.voting_delay
    voting_period: int = _DEFAULTS.governance.voting_period
    timelock_delay: int = _DEFAULTS.governance.timelock_delay
    proposal_threshold: str = HFT.shown(_DEFAULTS.governance.proposal_threshold)
    quorum_percent: int = _DEFAULTS.governance.quorum_percent


class _Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    chain_id: int
    guardian: str
    supply_holder: str
    initial_supply: str
    fee_token: str
    min_stake: str = HFT.shown(_DEFAULTS.min_stake)
    protocol_fee_bps: int = _DEFAULTS.protocol_fee_bps
    alert_quorum_bps: int = _DEFAULTS.alert_quorum_bps
    cut: _Cut = _Cut()
    governance: _Governance = _Governance()
    bindings: _Bindings | None = None


def settings_from_toml(raw: bytes, where: str) -> tuple[ChainId, NetworkSettings]:
    """Read the file; `where` it is stands in errors. Raises `SettingsRefused`, which names every unfit value."""
    try:
        told = msgspec.convert(tomllib.loads(raw.decode()), _Network)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise SettingsRefused([f"{where}: {str(error)[:200]}"]) from None
    read = _Values(where)
    settings = NetworkSettings(
        guardian=read.address("guardian", told.guardian),
        supply_holder=read.address("supply_holder", told.supply_holder),
        initial_supply=read.amount("initial_supply", told.initial_supply),
        fee_token=read.address("fee_token", told.fee_token),
        cut=EpochCut(length=told.cut.length, cut_off=told.cut.cut_off, lag=told.cut.lag),
        governance=Governance(
            voting_delay=told.governance.voting_delay,
            voting_period=told.governance.voting_period,
            timelock_delay=told.governance.timelock_delay,
            proposal_threshold=read.amount("governance.proposal_threshold", told.governance.proposal_threshold),
            quorum_percent=told.governance.quorum_percent,
        ),
        min_stake=read.amount("min_stake", told.min_stake),
        protocol_fee_bps=BasisPoints(told.protocol_fee_bps),
        alert_quorum_bps=BasisPoints(told.alert_quorum_bps),
        bindings=None if told.bindings is None else read.bindings(told.bindings),
    )
    if told.chain_id <= 0:
        read.problems.append(f"{where}: chain_id: is not above zero")
    if read.problems:
        raise SettingsRefused(read.problems)
    return ChainId(told.chain_id), settings


class _Values:
    """Turns texts into values; what is unfit is kept in `problems`, so that all of them are told at once."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.problems: list[str] = []

    def address(self, name: str, text: str) -> Address:
        try:
            found = address_from_hex(text)
        except ProtocolError as error:
            self.problems.append(f"{self._where}: {name}: {error}")
            return ZERO_ADDRESS
        if found == ZERO_ADDRESS:
            self.problems.append(f"{self._where}: {name}: is the zero address")
        return found

    def addresses(self, name: str, texts: list[str]) -> tuple[Address, ...]:
        return tuple(self.address(f"{name}[{index}]", text) for index, text in enumerate(texts))

    def amount(self, name: str, text: str) -> TokenAmount:
        try:
            return TokenAmount(HFT.parse(text))
        except AmountUnfit as error:
            self.problems.append(f"{self._where}: {name}: {error}")
            return TokenAmount(0)

    def venue(self, name: str, told: _Venue) -> VenueFactory:
        if _HASH.match(told.init_code_hash) is None:
            self.problems.append(f"{self._where}: {name}.init_code_hash: no 32 bytes in hex")
        if not 0 <= told.fee_pips < 10**6:
            self.problems.append(f"{self._where}: {name}.fee_pips: outside 0 to {10**6 - 1}")
        code_hash = told.init_code_hash[2:] if _HASH.match(told.init_code_hash) else ""
        return VenueFactory(
            factory=self.address(f"{name}.factory", told.factory),
            init_code_hash=bytes.fromhex(code_hash),
            fee_pips=told.fee_pips,
        )

    def bindings(self, told: _Bindings) -> ExecutorBindings:
        """Return them without our own contracts, whose addresses the plan puts in."""
        return ExecutorBindings(
            module=ZERO_ADDRESS,
            weth=self.address("bindings.weth", told.weth),
            uniswap_v2=self.venue("bindings.uniswap_v2", told.uniswap_v2),
            sushi_swap=self.venue("bindings.sushi_swap", told.sushi_swap),
            uniswap_v3=self.venue("bindings.uniswap_v3", told.uniswap_v3),
            balancer_vault=self.address("bindings.balancer_vault", told.balancer_vault),
            aave_pool=self.address("bindings.aave_pool", told.aave_pool),
            ledger=ZERO_ADDRESS,
            pool_manager=self.address("bindings.pool_manager", told.pool_manager),
            morpho=self.address("bindings.morpho", told.morpho),
            curve_pools=self.addresses("bindings.curve_pools", told.curve_pools),
            flash_lenders=self.addresses("bindings.flash_lenders", told.flash_lenders),
        )
