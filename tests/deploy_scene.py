"""A deployment to play with: settings that are sound, and a chain that is nothing but a table of what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from devnet.accounts import Account
from devnet.protocols.venue_bindings import executor_bindings
from governance.amounts import HFT
from governance.caller import Draft, Event, SeenTransaction, SignedDraft
from governance.contracts import ExecutorBindings, VenueFactory
from governance.deploy_errors import CallReverted
from governance.deploy_plan import Plan, plan_of
from governance.deploy_readback import ROLES, reads, role_holders
from governance.deploy_settings import EpochCut, NetworkSettings
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import (
    ZERO_ADDRESS,
    Address,
    BlockNumber,
    ChainId,
    Gas,
    Hash32,
    TokenAmount,
    Wei,
    address_from_hex,
    address_to_hex,
)

ETHER = 10**18
CHAIN = ChainId(31337)
DEPLOYER, GUARDIAN, HOLDER, FEE_TOKEN, STRANGER = (Address(bytes([number]) * 20) for number in range(1, 6))
VENUE = VenueFactory(factory=Address(b"\x31" * 20), init_code_hash=b"\x32" * 32, fee_pips=3_000)
BINDINGS = ExecutorBindings(
    module=ZERO_ADDRESS,
    weth=FEE_TOKEN,
    uniswap_v2=VENUE,
    sushi_swap=VENUE,
    uniswap_v3=VENUE,
    balancer_vault=Address(b"\x33" * 20),
    aave_pool=Address(b"\x34" * 20),
    ledger=ZERO_ADDRESS,
    pool_manager=Address(b"\x35" * 20),
    morpho=Address(b"\x36" * 20),
    curve_pools=(Address(b"\x37" * 20), Address(b"\x38" * 20)),
    flash_lenders=(Address(b"\x39" * 20),),
)
SETTINGS = NetworkSettings(
    guardian=GUARDIAN,
    supply_holder=HOLDER,
    initial_supply=TokenAmount(1_000_000 * ETHER),
    fee_token=FEE_TOKEN,
    cut=EpochCut(length=30, cut_off=12, lag=6),
    bindings=BINDINGS,
)


def plan(**changes: Any) -> Plan:
    """A plan from nonce 5 on, with changed settings."""
    return plan_of(CHAIN, DEPLOYER, 5, replace(SETTINGS, **changes))


def settings_on(contracts: Mapping[str, str], guardian: Account, holder: Account) -> NetworkSettings:
    """Settings for the devnet's world, vault module and executor among what is deployed; by the manifest's names."""
    return NetworkSettings(
        guardian=address_from_hex(guardian.address),
        supply_holder=address_from_hex(holder.address),
        initial_supply=TokenAmount(1_000_000 * ETHER),
        fee_token=address_from_hex(contracts["weth"]),
        cut=EpochCut(length=30, cut_off=12, lag=6),
        bindings=executor_bindings(contracts),
    )


def settings_toml(settings: NetworkSettings, chain_id: ChainId) -> str:
    """The file that says these settings."""
    told, cut, governance = settings.bindings, settings.cut, settings.governance
    accounts = ("guardian", "supply_holder", "fee_token")
    lines = [
        f"chain_id = {chain_id}",
        *(f'{name} = "{address_to_hex(getattr(settings, name))}"' for name in accounts),
        f'initial_supply = "{HFT.shown(settings.initial_supply)}"',
        f'min_stake = "{HFT.shown(settings.min_stake)}"',
        f"protocol_fee_bps = {settings.protocol_fee_bps}",
        f"alert_quorum_bps = {settings.alert_quorum_bps}",
        "[cut]",
        *(f"{name} = {getattr(cut, name)}" for name in ("length", "cut_off", "lag")),
        "[governance]",
        *(f"{name} = {getattr(governance, name)}" for name in ("voting_delay", "voting_period", "timelock_delay")),
        f'proposal_threshold = "{HFT.shown(governance.proposal_threshold)}"',
        f"quorum_percent = {governance.quorum_percent}",
    ]
    if told is None:
        return "\n".join(lines)
    single = ("weth", "balancer_vault", "aave_pool", "pool_manager", "morpho")
    lines += ["[bindings]", *(f'{name} = "{address_to_hex(getattr(told, name))}"' for name in single)]
    for name in ("uniswap_v2", "sushi_swap", "uniswap_v3"):
        venue: VenueFactory = getattr(told, name)
        code_hash = f'init_code_hash = "0x{venue.init_code_hash.hex()}"'
        lines.append(
            f'{name} = {{ factory = "{address_to_hex(venue.factory)}", {code_hash}, fee_pips = {venue.fee_pips} }}'
        )
    for name in ("curve_pools", "flash_lenders"):
        told_addresses = ", ".join(f'"{address_to_hex(each)}"' for each in getattr(told, name))
        lines.append(f"{name} = [{told_addresses}]")
    return "\n".join(lines)


def granted(role: str, account: str) -> Event:
    """What the Timelock tells when it gives a role."""
    topic = Hash32(keccak256(b"RoleGranted(bytes32,address,address)"))
    return Event((topic, ROLES[role], Hash32(bytes(12) + bytes.fromhex(account[2:])), Hash32(bytes(32))), b"")


class Asked:
    """Somebody who is asked for approval: keeps what was `shown`, says `answer`."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.shown: list[str] = []

    def __call__(self, text: str) -> bool:
        self.shown.append(text)
        return self.answer


class PowerCut(Exception):
    """The machine that deploys stops here."""


@dataclass
class TableChain:
    """A `ContractCaller` whose chain does what `plan` wants; a test changes what it answers.

    `mines_at_once`: what is sent is mined; else when the caller pauses. `before` is called with the name of each
    operation that changes something, to cut it short.
    """

    plan: Plan
    account: Address = DEPLOYER
    chain: ChainId = CHAIN
    wei: int = 10 * ETHER
    used: int = 5
    mines_at_once: bool = True
    estimated: int = 500_000
    refusal: bytes | None = None
    succeeds: bool = True
    before: Callable[[str], None] = lambda _what: None
    codes: dict[Address, bytes] = field(default_factory=lambda: {FEE_TOKEN: b"\x01"})
    answers: dict[tuple[Address, bytes], bytes] = field(default_factory=dict)
    told: dict[Address, list[Event]] = field(default_factory=dict)
    seen: dict[Hash32, SeenTransaction] = field(default_factory=dict)
    sent: list[int] = field(default_factory=list)
    pauses: int = 0

    def __post_init__(self) -> None:
        for read in reads(self.plan):
            types = read.returns[1:-1].split(",") if read.returns.startswith("(") else [read.returns]
            values = read.expected if read.returns.startswith("(") else (read.expected,)
            key = (self.plan.addresses[read.contract], encode_call(read.signature, *read.arguments))
            self.answers[key] = encode(types, values)
        at = {name: address_to_hex(address) for name, address in self.plan.addresses.items()}
        timelock = self.plan.addresses["TimelockController"]
        self.told[timelock] = [
            granted(role, account) for role, holders in role_holders(at).items() for account in holders.values()
        ]

    def answer(
        self, contract: str, signature: str, types: Sequence[str], *values: Any, about: Sequence[Any] = ()
    ) -> None:
        """Let a view return something else."""
        self.answers[self.plan.addresses[contract], encode_call(signature, *about)] = encode(types, values)

    async def chain_id(self) -> ChainId:
        return self.chain

    async def nonce(self) -> int:
        return self.used

    async def balance(self) -> Wei:
        return Wei(self.wei)

    async def gas_price(self) -> Wei:
        return Wei(10**9)

    async def code(self, contract: Address) -> bytes:
        return self.codes.get(contract, b"")

    async def call(self, contract: Address, data: bytes) -> bytes:
        if (contract, data) not in self.answers:
            raise CallReverted
        return self.answers[contract, data]

    async def events(self, contract: Address, since: BlockNumber) -> Sequence[Event]:
        assert since <= 105, "the block of the first contract"
        return self.told.get(contract, [])

    async def estimate(self, draft: Draft) -> Gas:
        assert draft.nonce == self.used
        if self.refusal is not None:
            raise CallReverted(self.refusal)
        return Gas(self.estimated)

    async def sign(self, draft: Draft) -> SignedDraft:
        raw = draft.nonce.to_bytes(8, "big") + draft.data
        return SignedDraft(raw, Hash32(keccak256(raw)))

    async def send(self, signed: SignedDraft) -> None:
        self.before("send")
        nonce = int.from_bytes(signed.raw[:8], "big")
        assert nonce == self.used, "sent out of order"
        self.sent.append(nonce)
        self.seen[signed.hash] = SeenTransaction(sender=self.account, nonce=nonce, to=None, data=signed.raw[8:])
        if self.mines_at_once:
            self.mine()
        self.before("sent")

    async def transaction(self, transaction_hash: Hash32) -> SeenTransaction | None:
        return self.seen.get(transaction_hash)

    async def pause(self) -> None:
        self.pauses += 1
        self.mine()

    def mine(self) -> None:
        """Mine what waits."""
        for key, waiting in list(self.seen.items()):
            if waiting.block is None:
                self.seen[key] = SeenTransaction(
                    sender=waiting.sender,
                    nonce=waiting.nonce,
                    to=None,
                    data=waiting.data,
                    block=BlockNumber(100 + waiting.nonce),
                    succeeded=self.succeeds,
                    gas_used=Gas(1),
                )
                step = self.plan.steps[waiting.nonce - self.plan.first_nonce]
                self.used = waiting.nonce + 1
                self.codes[step.address] = b"\x01"
