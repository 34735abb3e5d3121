"""The network's own contracts, deployed by the plan that deploys them anywhere, and the demo's operators in it.

Each operator registers with the hot key of its first vault and its peer, stakes, and checks in for the first epoch
that can be. Then they vote, as any network does: that our executor may open orders. Nothing is impersonated.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID
from devnet.errors import ChainFailed
from devnet.protocols.site import Site
from devnet.protocols.venue_bindings import executor_bindings
from governance.caller import Draft, JsonRpcCaller, SignedDraft
from governance.contracts import ARB_EXECUTOR, VAULT_MODULE
from governance.deploy import deploy as deploy_set
from governance.deploy_errors import DeployError
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
    plan_of,
)
from governance.deploy_settings import EpochCut, Governance, NetworkSettings
from governance.network import approve_call, check_in_call, register_call, stake_call, transfer_call
from node.identity import peer_id_hash
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.signing import Domain, sign
from protocol.statements import HotKeyBinding
from protocol.units import ChainId, EpochNumber, TokenAmount, Wei, address_from_hex, address_to_hex

CUT: Final = EpochCut(length=30, cut_off=12, lag=6)
STAKE: Final = TokenAmount(100_000 * 10**18)
TREASURY: Final = "network-treasury"
"""Holds the tokens that nobody has staked."""
NAMES: Final = {
    TOKEN: "hft_token",
    STAKING: "node_staking",
    COURT: "slashing_court",
    PARAMETERS: "network_parameters",
    BRAKE: "emergency_brake",
    STREAM: "reward_stream",
    LEDGER: "execution_ledger",
    WORK: "work_rewards",
    GOVERNOR: "hft_governor",
    TIMELOCK: "timelock",
    VAULT_MODULE: "vault_module",
    ARB_EXECUTOR: "arb_executor",
}
"""Contract to its name in the manifest."""

_DEPLOYER: Final = "network-deployer"
_SUPPLY: Final = TokenAmount(10_000_000 * 10**18)
_ETHER: Final = 10**18
_GOVERNANCE: Final = Governance(voting_delay=2, voting_period=20, timelock_delay=4)
"""Seconds: short, so that governance can be watched, and long enough to be voted in."""
_PROPOSE: Final = "propose(address[],uint256[],bytes[],string)"
_QUEUE: Final = "queue(address[],uint256[],bytes[],bytes32)"
_EXECUTE: Final = "execute(address[],uint256[],bytes[],bytes32)"
_TEXT: Final = "Let ArbExecutor execute the network's orders"
_FOR: Final = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One operator to be: the account that registers and stakes, its hot key, its peer."""

    owner: Account
    hot_key: Account
    peer: Account

    @classmethod
    def of(cls, name: str) -> Member:
        """Return the operator of a name; its hot key is that of its first vault."""
        return cls(account(f"{name}-account"), account(f"{name}-key-0"), account(f"{name}-peer"))


class _SiteCaller(JsonRpcCaller):
    """The deployer of the world, for the plan: what is sent waits for the next block, which a pause mines."""

    def __init__(self, site: Site, deployer: Account) -> None:
        super().__init__(site.deployer.rpc, deployer.key, site.deployer.flush, priority_fee=Wei(0))
        self._site = site
        self._limits: dict[bytes, int] = {}

    async def sign(self, draft: Draft) -> SignedDraft:
        """Sign, and keep the gas limit, by which blocks are filled."""
        signed = await super().sign(draft)
        self._limits[signed.raw] = draft.gas_limit
        return signed

    async def send(self, signed: SignedDraft) -> None:
        """Queue it."""
        self._site.deployer.raw("a contract of the network", signed.raw, self._limits.pop(signed.raw))


async def deploy(site: Site) -> None:
    """Deploy the whole set, vault module and executor included. Raises `ChainFailed`."""
    deployer = account(_DEPLOYER)
    await site.deployer.flush()
    await site.deployer.set_balance([deployer.address], 10 * _ETHER)
    settings = NetworkSettings(
        guardian=address_from_hex(site.contracts["safe"]),
        supply_holder=address_from_hex(account(TREASURY).address),
        initial_supply=_SUPPLY,
        fee_token=address_from_hex(site.contracts["weth"]),
        cut=CUT,
        governance=_GOVERNANCE,
        bindings=executor_bindings(site.contracts),
    )
    caller = _SiteCaller(site, deployer)
    plan = plan_of(ChainId(CHAIN_ID), caller.account, 0, settings)
    with tempfile.TemporaryDirectory() as folder:
        try:
            at = await deploy_set(caller, plan, Path(folder) / "deployment.json", lambda _text: True)
        except DeployError as error:
            raise ChainFailed(f"building the world: {error}") from error
    site.contracts |= {NAMES[name]: address_to_hex(address) for name, address in at.items()}


async def join(site: Site, operators: tuple[str, ...]) -> None:
    """Register, fund and stake the operators; propose the executor, vote and let it through. Raises `ChainFailed`."""
    members = [Member.of(name) for name in operators]
    build, at, treasury = site.deployer, site.contracts, account(TREASURY)
    owners = [member.owner.address for member in members]
    await build.set_balance([treasury.address, *owners], 10 * _ETHER)
    domain = Domain(ChainId(CHAIN_ID), address_from_hex(at["node_staking"]))
    staking = address_from_hex(at["node_staking"])
    for member in members:
        owner = address_from_hex(member.owner.address)
        binding = sign(domain, HotKeyBinding(operator=owner), member.hot_key.key)
        registration = register_call(
            address_from_hex(member.hot_key.address), peer_id_hash(member.peer.secret), binding
        )
        build.call_data("stake for an operator", at["hft_token"], transfer_call(owner, STAKE), sender=treasury)
        build.call_data("register", at["node_staking"], registration, sender=member.owner)
        build.call_data("approve", at["hft_token"], approve_call(staking, STAKE), sender=member.owner)
        build.call_data("stake", at["node_staking"], stake_call(STAKE), sender=member.owner)
    await _allow_executor(site, members)


def check_in(site: Site, operators: tuple[str, ...]) -> None:
    """Queue the check-in of all operators for the next epoch, so that a devnet has leaders soon after its start."""
    epoch = EpochNumber((site.deployer.block_number + 1) // CUT.length + 1)
    for name in operators:
        data = check_in_call(epoch)
        site.deployer.call_data(
            f"check in for epoch {epoch}", site.contracts["execution_ledger"], data, sender=Member.of(name).owner
        )


async def _allow_executor(site: Site, members: list[Member]) -> None:
    build, governor = site.deployer, site.contracts["hft_governor"]
    call = encode_call("setExecutor(address,bool)", site.contracts["arb_executor"], True)
    what = ([site.contracts["execution_ledger"]], [0], [call])
    text_hash = keccak256(_TEXT.encode())
    await build.flush()
    build.call(governor, _PROPOSE, *what, _TEXT, sender=members[0].owner)
    await build.fill_up(build.block_number + 1 + _GOVERNANCE.voting_delay)
    proposal = encode(["address[]", "uint256[]", "bytes[]", "bytes32"], [*what, text_hash])
    proposal_id = int.from_bytes(keccak256(proposal), "big")
    for member in members:
        build.call(governor, "castVote(uint256,uint8)", proposal_id, _FOR, sender=member.owner)
    await build.fill_up(build.block_number + 1 + _GOVERNANCE.voting_period // 2)
    build.call(governor, _QUEUE, *what, text_hash, sender=members[0].owner)
    await build.fill_up(build.block_number + 1 + _GOVERNANCE.timelock_delay // 2)
    build.call(governor, _EXECUTE, *what, text_hash, sender=members[0].owner)
    (allowed,) = await build.read(
        site.contracts["execution_ledger"], "isExecutor(address)", ["bool"], site.contracts["arb_executor"]
    )
    if not allowed:
        raise ChainFailed("building the world: the vote did not let the executor in")
