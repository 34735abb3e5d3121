"""The genuine Universal Router beside the devnet's genuine pools, and each call of it held against what we foretell."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from devnet.accounts import account
from devnet.artifacts import load
from devnet.packages import Packages
from devnet.protocols.uniswap_v4 import PERMIT2
from devnet.protocols.venue_bindings import UNISWAP_V2_PAIR, UNISWAP_V3_POOL
from devnet.world import World
from node.engine.endpoints import Endpoints
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.decoders_core import ROUTER, SENDER
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.pending import RoutedSwaps, routed_swaps
from node.pipeline.pools import PoolFamily, PoolId, PoolState
from node.pipeline.reach import ENDLESS, Reach
from node.pipeline.reasons import Reason
from node.pipeline.router_accounts import RouterAccounts
from node.pipeline.settings import RouterKind
from protocol.ethereum.hot_path import pending_from_json
from protocol.units import ZERO_ADDRESS, Address, UnixSeconds, address_from_hex, address_to_hex
from tests.chain import Chain
from tests.integration.test_logs_tell_the_state import Follower
from tests.universal_router import Given, PoolKey, execute

WHALE: Final = account("whale-1")
FAR_FUTURE: Final = 1 << 40
SYMBOLS: Final = ("WETH", "USDC", "USDT", "WBTC", "DAI")
FAMILIES: Final = (PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, PoolFamily.UNISWAP_V4)
_ARTIFACT: Final = "@uniswap/universal-router/artifacts/contracts/UniversalRouter.sol/UniversalRouter.json"
_PARAMETERS: Final = "(address,address,address,address,bytes32,bytes32,address,address,address,address)"
_NOBODY: Final = "0x" + "00" * 19 + "99"


class Sent(NamedTuple):
    """What became of a call, and what we had said: None, or why it would revert or is not read."""

    foretold: Reason | None
    succeeded: bool
    pools: int


class Stage:
    """The router, the pools, and somebody who calls it. Every call begins on the same chain: what it did is undone."""

    def __init__(self, chain: Chain, world: World, follower: Follower, market: Market) -> None:
        self.chain, self.world, self.follower, self.market = chain, world, follower, market
        self.router, self.kind = "", RouterKind.UNIVERSAL
        self.weth, self.usdc, self.usdt, self.wbtc, self.dai = (
            world.manifest.token(symbol).address for symbol in SYMBOLS
        )

    def key(self, one: str, other: str, fee: int, spacing: int) -> PoolKey:
        """A V4 pool by its tokens."""
        return PoolKey(min(one, other), max(one, other), fee, spacing)

    def pair(self, one: str, other: str) -> str:
        """The address of a V2 pair."""
        tokens = {address_from_hex(one), address_from_hex(other)}
        specs = [spec for spec in self.market.specs if spec.family is PoolFamily.UNISWAP_V2]
        return address_to_hex(next(spec for spec in specs if set(spec.tokens) == tokens).address)

    def goes_to(self, router: str, kind: RouterKind) -> None:
        """From now on calls are of this router."""
        self.router, self.kind = router, kind

    async def does_as_foretold(self, *commands: Given, value: int = 0, deadline: int | None = FAR_FUTURE) -> int:
        """A plan that must succeed, and do to the unit what we say; how many pools it moves."""
        return await self.call_does_as_foretold(execute(*commands, deadline=deadline), value)

    async def call_does_as_foretold(self, data: bytes, value: int = 0) -> int:
        """The same, of a call."""
        sent = await self._sent(data, value)
        assert (sent.foretold, sent.succeeded) == (None, True)
        return sent.pools

    async def is_refused_as_foretold(self, *commands: Given, value: int = 0, deadline: int | None = FAR_FUTURE) -> None:
        """A plan that must revert: we must say so."""
        await self.call_is_refused_as_foretold(execute(*commands, deadline=deadline), value)

    async def call_is_refused_as_foretold(self, data: bytes, value: int = 0) -> None:
        """The same, of a call."""
        sent = await self._sent(data, value)
        assert (sent.foretold, sent.succeeded) == (Reason.VICTIM_WOULD_REVERT, False)

    async def ends_as_foretold(self, *commands: Given) -> bool:
        """A plan of which only the chain and our maths know the end: they must agree. Whether it succeeds."""
        sent = await self._sent(execute(*commands), 0)
        assert sent.foretold is (None if sent.succeeded else Reason.VICTIM_WOULD_REVERT)
        return sent.succeeded

    async def is_left_unread(self, *commands: Given, succeeds: bool) -> None:
        """A plan of which nothing is foretold: it goes to simulation."""
        sent = await self._sent(execute(*commands), 0)
        assert (sent.foretold, sent.succeeded) == (Reason.NOT_A_SWAP, succeeds)

    async def _sent(self, data: bytes, value: int) -> Sent:
        """The call mined, its effect held against what the node says of it as a pending transaction, and undone."""
        snapshot = await self.chain.rpc.call("evm_snapshot")
        before, states = await self._balances(), dict(self.follower.states)
        try:
            return await self._judged(data, value, before, states)
        finally:
            self.follower.states = states
            assert await self.chain.rpc.call("evm_revert", snapshot)

    async def _judged(
        self, data: bytes, value: int, before: dict[tuple[Address, str], int], states: dict[PoolId, PoolState]
    ) -> Sent:
        receipt = await self.chain.send_data(WHALE, self.router, data, value)
        body = await self.chain.rpc.call("eth_getTransactionByHash", receipt["transactionHash"])
        block = await self.chain.rpc.call("eth_getBlockByHash", receipt["blockHash"], False)
        transaction = pending_from_json(msgspec.json.encode(body), {self.router})
        assert transaction is not None
        steps = routed_swaps(self.market, self.kind, transaction, address_from_hex(self.weth))
        overlay = Overlay(self.market)
        if isinstance(steps, Reason):
            foretold: Reason | None = steps
        else:
            foretold = overlay.apply(steps, UnixSeconds(int(block["timestamp"], 16)))
        if foretold is None and receipt["status"] == "0x1":
            said = self._overlaid(overlay)
            # A log of any other pool would not fit these.
            self.follower.states = {pool: states[pool] for pool in said}
            assert await self.follower.follow() >= len(said) > 0
            assert said == self.follower.states
        if foretold is None and receipt["status"] == "0x1" and self.kind is RouterKind.UNIVERSAL:
            assert not isinstance(steps, Reason)
            moved = {key: after - before[key] for key, after in (await self._balances()).items()}
            assert self._accounts(steps) == moved
        return Sent(foretold, receipt["status"] == "0x1", len(overlay.states))

    def _overlaid(self, overlay: Overlay) -> dict[PoolId, PoolState]:
        """What we foretell of the pools; fees grown so far are no part of what is kept of them."""
        return {
            self.market.specs[number].id: msgspec.structs.replace(
                state, fee_growth_global0_x128=0, fee_growth_global1_x128=0
            )
            if isinstance(state, ConcentratedPool)
            else state
            for number, state in overlay.states.items()
        }

    def _accounts(self, steps: RoutedSwaps) -> dict[tuple[Address, str], int]:
        """What we foretell of the tokens of the sender and the router."""
        overlay = Overlay(self.market)
        accounts = RouterAccounts(
            self.market, overlay.states, lambda pool: overlay.state(pool) or _unknown(), Reach(ENDLESS)
        )
        for step, edges in steps:
            accounts.perform(step, edges)
        return {
            (owner, token): accounts.held(owner, address_from_hex(token))
            for owner in (SENDER, ROUTER)
            for token in self.tokens()
        }

    async def _balances(self) -> dict[tuple[Address, str], int]:
        owners = {SENDER: WHALE.address, ROUTER: self.router}
        return {
            (owner, token): await self.chain.balance(token, address)
            for owner, address in owners.items()
            for token in self.tokens()
        }

    def tokens(self) -> tuple[str, ...]:
        """All that is looked at."""
        return self.weth, self.usdc, self.usdt, self.wbtc, self.dai


def _unknown() -> PoolState:
    raise AssertionError("a pool without a state")


async def set_stage(chain: Chain, world: World, endpoints: Endpoints) -> Stage:
    """Look at the pools of a few tokens; the router of which calls are is yet to be said."""
    follower = Follower(chain, endpoints, world)
    tokens = {address_from_hex(world.manifest.token(symbol).address) for symbol in SYMBOLS} | {ZERO_ADDRESS}
    specs = [spec for spec in await follower.begin(*FAMILIES) if tokens.issuperset(spec.tokens)]
    market = Market([address_from_hex(world.manifest.contracts["weth"])], 1_000, 1)
    for token in tokens:
        market.trust(token, True)
    for number, spec in enumerate(specs):
        market.discover(spec)
        market.set_state(number, follower.states[spec.id])
    stage = Stage(chain, world, follower, market)
    await chain.rpc.call("anvil_dealERC20", WHALE.address, stage.usdc, hex(1 << 127))
    return stage


async def deploy_router(stage: Stage, packages: Packages) -> None:
    """Deploy the Universal Router, let it take the sender's tokens, and call it from now on."""
    chain, found = stage.chain, stage.world.manifest.contracts
    parameters = (
        *(PERMIT2, found["weth"], found["uniswap_v2_factory"], found["uniswap_v3_factory"]),
        *(UNISWAP_V2_PAIR, UNISWAP_V3_POOL, found["uniswap_v4_pool_manager"]),
        *(found["uniswap_v3_position_manager"], found["uniswap_v4_position_manager"], _NOBODY),
    )
    router = await chain.create(WHALE, load(packages, _ARTIFACT).creation, (_PARAMETERS,), (parameters,))
    for held in stage.tokens():
        await chain.send(WHALE, held, "approve(address,uint256)", PERMIT2, (1 << 256) - 1)
        permit = "approve(address,address,uint160,uint48)"
        await chain.send(WHALE, PERMIT2, permit, held, router, (1 << 160) - 1, (1 << 48) - 1)
    stage.goes_to(router, RouterKind.UNIVERSAL)
