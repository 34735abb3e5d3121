"""A whole network on a real chain to act on: deployed by the plan, one transaction a block, by anybody's account."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID
from governance.caller import JsonRpcCaller
from governance.client import NetworkClient
from governance.deploy import deploy
from governance.deploy_plan import plan_of
from governance.deploy_settings import EpochCut, NetworkSettings
from governance.network import NetworkContracts, transfer_call
from protocol.signing import Domain, sign
from protocol.statements import HotKeyBinding
from protocol.units import (
    Address,
    BlockNumber,
    ChainId,
    Hash32,
    PeerIdHash,
    SignatureBytes,
    TokenAmount,
    Wei,
    address_from_hex,
)
from tests.chain import Chain

ETHER: Final = 10**18
DEPLOYER, HOLDER, GUARDIAN = (account(f"finder-{index}") for index in range(3))
ALICE, BOB = account("operator-0"), account("operator-1")
STAKE: Final = TokenAmount(5_000 * ETHER)


@dataclass(frozen=True)
class NetworkScene:
    """The network, and who acts on it."""

    chain: Chain
    contracts: NetworkContracts
    since: BlockNumber

    @property
    def domain(self) -> Domain:
        """What its statements are signed for."""
        return Domain(ChainId(CHAIN_ID), self.contracts.staking)

    def client(self, who: Account) -> NetworkClient:
        """The network as an account uses it; a pause mines a block."""
        caller = JsonRpcCaller(self.chain.rpc, who.key, self.chain.mine, priority_fee=Wei(0))
        return NetworkClient(caller, self.contracts, self.since)

    async def fund(self, who: Account, amount: TokenAmount) -> None:
        """Give an account tokens."""
        await self.client(HOLDER).submit(self.contracts.token, transfer_call(raw(who), amount))

    async def join(self, who: Account, hot_key: Account, peer: bytes, amount: TokenAmount = STAKE) -> None:
        """Register and stake."""
        await self.fund(who, amount)
        client = self.client(who)
        await client.register(raw(hot_key), PeerIdHash(Hash32(peer)), self.binding(who, hot_key))
        await client.stake(amount)

    def binding(self, who: Account, hot_key: Account) -> SignatureBytes:
        """What a hot key signs to belong to an account."""
        return sign(self.domain, HotKeyBinding(operator=raw(who)), hot_key.key)

    async def head(self) -> BlockNumber:
        """The last block's number."""
        return BlockNumber(int(await self.chain.rpc.call("eth_blockNumber"), 16))

    async def mine_to(self, block: int) -> None:
        """Let empty blocks pass."""
        while await self.head() < block:
            await self.chain.mine()


async def deployed_network(chain: Chain, weth: str, journal: Path) -> NetworkScene:
    """Deploy the set without vaults, with the devnet's epochs."""
    settings = NetworkSettings(
        guardian=raw(GUARDIAN),
        supply_holder=raw(HOLDER),
        initial_supply=TokenAmount(1_000_000 * ETHER),
        fee_token=address_from_hex(weth),
        cut=EpochCut(length=30, cut_off=12, lag=6),
    )
    caller = JsonRpcCaller(chain.rpc, DEPLOYER.key, chain.mine, priority_fee=Wei(0))
    since = BlockNumber(int(await chain.rpc.call("eth_blockNumber"), 16))
    plan = plan_of(ChainId(CHAIN_ID), raw(DEPLOYER), await caller.nonce(), settings)
    addresses = await deploy(caller, plan, journal, lambda _text: True)
    return NetworkScene(chain, NetworkContracts.of(addresses), since)


def raw(who: Account) -> Address:
    """An account's address as bytes."""
    return address_from_hex(who.address)
