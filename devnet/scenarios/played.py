"""Leaders whose nodes do not run: the scenario plays them, in real time, on a devnet with others' live nodes.

They check in for each epoch, and give it its seed. For each block that one of them leads, a finder's order is executed
behind a trade that makes it worth it, both in one bundle. Who finds is an operator whose node runs: that node must tell
of what it is paid.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from devnet.accounts import Account, account
from devnet.actors.gateway import Gateway
from devnet.anvil import CHAIN_ID
from devnet.errors import ChainFailed, RpcError
from devnet.relay.builders import DEFAULT_BUILDERS
from devnet.rpc import RpcClient
from devnet.scenarios.cast import Seat
from devnet.scenarios.nodes import LiveDevnet
from devnet.scenarios.trade import execute_order, order_of, selling_weth, unbalancing
from governance.actions import Action, check_in, roll_epoch
from governance.network import entry_query, epoch_query, epoch_rules_query
from governance.reading import Reader
from protocol.ethereum.block_header import header_rlp
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.leaders import Entry, EpochRules, EpochTable, Turn
from protocol.units import BlockNumber, ChainId, EpochNumber, address_to_hex

TRADER: Final = account("scenario-trader")
ROLLER: Final = account("scenario-roller")
_TRADED: Final = 150_000 * 10**6
_GAS: Final = 1_500_000
_TIP: Final = 5 * 10**9
_LOOK_SECONDS: Final = 0.05


class PlayedLeaders:
    """See the module. `orders`: how many were offered to the builders; `refused`: how often the chain said no."""

    def __init__(self, scene: LiveDevnet, seats: Sequence[Seat], finder: Seat) -> None:
        self.orders = self.refused = 0
        self._scene, self._finder = scene, finder
        self._seats = {seat.account: seat for seat in seats}

    async def run(self) -> None:
        """Play until cancelled."""
        stage, relay = self._scene.stage, self._scene.relay
        builders = {one.name: relay.builder_url(one.name) for one in DEFAULT_BUILDERS}
        async with RpcClient(relay.public_url) as rpc, Gateway(relay.public_url, builders, lockstep=False) as gateway:
            reader, seen = Reader(rpc, stage.reader.network), ""
            rules = await reader.ask(epoch_rules_query(stage.contracts))
            while True:
                head = relay.parts.chain.head
                if head.hash != seen:
                    seen = head.hash
                    try:
                        await self._block(reader, gateway, rules, BlockNumber(head.number + 1))
                    except (RpcError, ChainFailed):  # the next block is another chance
                        self.refused += 1
                await asyncio.sleep(_LOOK_SECONDS)

    async def _block(self, reader: Reader, gateway: Gateway, rules: EpochRules, target: BlockNumber) -> None:
        stage = self._scene.stage
        turn = await self._turn(reader, rules, target)
        leader = None if turn is None else self._seats.get(turn.operator)
        if turn is not None and leader is not None:
            plan = selling_weth(stage, target, order_of(stage, self._finder, target, turn))
            actions = [
                (TRADER, unbalancing(stage, TRADER, _TRADED)),
                (leader.hot_key, execute_order(stage, leader, plan)),
            ]
            raws = [await self._signed(reader, who, action) for who, action in actions]
            await gateway.send_bundle(raws, target, leader.name, leader.hot_key)
            self.orders += 1
        await self._attend(reader, gateway, rules, target, leader)

    async def _attend(
        self, reader: Reader, gateway: Gateway, rules: EpochRules, target: BlockNumber, leader: Seat | None
    ) -> None:
        """Do what the epochs need, until the chain has it. Who leads is busy: its next nonce is in a bundle."""
        stage, epoch = self._scene.stage, rules.check_in_epoch(target)
        if epoch is not None:
            there = {entry.operator for entry in await self._entries(reader, epoch)}
            for operator, seat in self._seats.items():
                if operator not in there and seat is not leader:
                    raw = await self._signed(reader, seat.hot_key, check_in(stage.contracts, epoch))
                    await gateway.send(raw, seat.name)
        coming = rules.epoch_of(BlockNumber(target + rules.seed_lag - 1))
        if not (await reader.ask(epoch_query(stage.contracts, coming))).is_rolled:
            block = hex(rules.seed_block(coming))
            header = header_rlp(await reader.rpc.call("eth_getBlockByNumber", block, False))
            await gateway.send(
                await self._signed(reader, ROLLER, roll_epoch(stage.contracts, coming, header)), ROLLER.name
            )

    async def _turn(self, reader: Reader, rules: EpochRules, target: BlockNumber) -> Turn | None:
        epoch = rules.epoch_of(target)
        record = await reader.ask(epoch_query(self._scene.stage.contracts, epoch))
        if not record.is_rolled:
            return None
        return EpochTable(epoch, record.seed, await self._entries(reader, epoch)).leader(target)

    async def _entries(self, reader: Reader, epoch: EpochNumber) -> list[Entry]:
        contracts = self._scene.stage.contracts
        record = await reader.ask(epoch_query(contracts, epoch))
        return [await reader.ask(entry_query(contracts, epoch, place)) for place in range(record.entries)]

    async def _signed(self, reader: Reader, who: Account, action: Action) -> bytes:
        head = self._scene.relay.parts.chain.head
        fields = DynamicFeeFields(
            chain_id=ChainId(CHAIN_ID),
            nonce=int(await reader.rpc.call("eth_getTransactionCount", who.address, "latest"), 16),
            max_priority_fee_per_gas=_TIP,
            max_fee_per_gas=2 * head.next_base_fee + _TIP,
            gas_limit=_GAS,
            to=address_to_hex(action.to),
            value=action.value,
            data=action.data,
        )
        return sign_dynamic_fee(fields, who.key)


@contextlib.asynccontextmanager
async def playing(leaders: PlayedLeaders) -> AsyncIterator[None]:
    """Let them play."""
    task = asyncio.create_task(leaders.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
