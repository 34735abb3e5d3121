"""chaos: nodes are killed, the chain is reorganised, the way to it is cut, a clock jumps; and nothing is lost by it.

It plays in real time, with order flow, rivals and two live nodes of the network. One has no ether: what it finds it
gives to the other as sealed orders, when that one leads. The other leaders are played; they execute orders of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from devnet.accounts import account
from devnet.demo.chain_watch import ChainWatch
from devnet.demo.ledger_reading import LedgerSummary, LedgerUnreadable, read_ledger
from devnet.demo.network_report import EXECUTED
from devnet.demo.operators import Style
from devnet.demo.summary import NodeOutcome, earned, ledger_differences
from devnet.rpc import RpcClient
from devnet.scenarios.cast import Seat, veterans
from devnet.scenarios.nodes import LiveDevnet, LiveNode, builders_endowment, live
from devnet.scenarios.played import ROLLER, TRADER, PlayedLeaders, playing
from devnet.scenarios.stage import ScenarioFailed, Stage
from governance.actions import Action
from governance.amounts import Unit
from governance.network import approve_call, transfer_call
from node.pipeline.pools import PoolFamily
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, TokenAmount, Wei, address_from_hex

DEPTH: Final = 5
CLOCK_MS: Final = 5_000
LEAST_PAID: Final = 2
"""Orders that must stand executed and paid after all: else nothing would be shown."""
SETTLE_SECONDS: Final = 60.0
_SHOWN: Final = 3_000
"""Characters of a line of a node's log."""
FINDER: Final = "west"
LEADER: Final = "centre"
_ALL: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3, PoolFamily.BALANCER_V2_WEIGHTED)
_STYLES: Final = {
    FINDER: Style(_ALL, ("WETH", "USDC", "USDT", "DAI", "WBTC"), Wei(10**14)),
    LEADER: Style(_ALL[::2], ("WETH", "USDC", "USDT", "DAI"), Wei(10**14)),
}
_TRADERS_USDC: Final = TokenAmount(4_000_000 * 10**6)
_WHALE: Final = account("whale-3")
_TRANSFER: Final = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()
_WETH: Final = Unit("WETH", 18)


@dataclass(frozen=True, slots=True)
class ExecutedOrder:
    """A network execution as a receipt tells it; `received`: what the finder's Safes got in the same transaction."""

    primary_key: str
    finder: Address
    paid: int
    received: int


async def play(stage: Stage) -> None:
    """Let two nodes work, do to them what can happen, and hold their ledgers against the chain."""
    await _prepare(stage)
    seats = {seat.name: seat for seat in veterans(stage)}
    stage.tell(f"act 1: {FINDER}, without ether, and {LEADER} run their nodes; the other leaders are played")
    async with live(stage, _STYLES) as scene, RpcClient(scene.relay.public_url) as rpc:
        watch = ChainWatch(rpc, stage.manifest, [node.prepared.operator for node in scene.nodes.values()])
        leaders = PlayedLeaders(scene, [seat for name, seat in seats.items() if name not in _STYLES], seats[FINDER])
        async with playing(leaders):
            await scene.until(scene.are_ready, "the nodes warm up")
            await watch.start()
            await _kill(scene)
            await _reorganise(scene, rpc)
            await _cut(scene)
            await _move_clocks(scene)
            await _kill_while_reorganised(scene, rpc)
            await scene.until(lambda: _are_executed(scene, rpc, watch.first), f"{LEAST_PAID} orders stand executed")
        await scene.freeze()
        await watch.catch_up()
        ledgers = await _settled(scene, watch)
        _tell_of_orders(stage, watch, seats, ledgers, leaders)
        for node in scene.nodes.values():
            what = f"{node.name}: what was killed came back by itself ({', '.join(node.killed)})"
            stage.expect(node.process.restarts >= len(node.killed), what)
            for line in node.process.errors():
                stage.tell(f"  told by {line[:_SHOWN]}")


async def _prepare(stage: Stage) -> None:
    """What the story cannot begin without: a trader with dollars, builders with a wei, a finder without ether."""
    usdc = address_from_hex(stage.manifest.token("USDC").address)
    router = address_from_hex(stage.manifest.contracts["uniswap_v2_router"])
    given = transfer_call(address_from_hex(TRADER.address), _TRADERS_USDC)
    allowed = approve_call(router, _TRADERS_USDC)
    for who in (TRADER, ROLLER):
        await stage.rpc.call("anvil_setBalance", who.address, hex(10**19))
    await stage.act(_WHALE, Action(contract="USDC", to=usdc, data=given, title="give the trader 4,000,000 USDC"))
    await stage.act(TRADER, Action(contract="USDC", to=usdc, data=allowed, title="let Uniswap take them"))
    (finder,) = (one for one in stage.manifest.operators if one.name == FINDER)
    poor = [("anvil_setBalance", [account(vault.hot_key).address, "0x0"]) for vault in finder.vaults]
    await stage.rpc.batch([*poor, *builders_endowment()])
    await stage.begin()


async def _kill(scene: LiveDevnet) -> None:
    scene.stage.tell("act 2: processes are killed while they are at work")
    engine, other = scene.stage.random.sample((FINDER, LEADER), 2)
    killed = []
    for name, process in ((engine, "engine"), (other, "desk"), (other, "sentry")):
        killed.append((scene.nodes[name], process, scene.nodes[name].kill(process)))
        scene.stage.tell(f"  {name}: kill -9 of its {process}")
    for node, process, pid in killed:
        await _back(scene, node, process, pid)


async def _back(scene: LiveDevnet, node: LiveNode, process: str, killed: int) -> None:
    async def is_back() -> bool:
        return node.process.is_ready() and node.pid_of(process) not in (None, killed)

    await scene.until(is_back, f"{node.name}: the {process} is back")


async def _reorganise(scene: LiveDevnet, rpc: RpcClient) -> None:
    scene.stage.tell(f"act 3: {DEPTH} blocks are replaced by others, and with them an order that was paid")
    await scene.until(lambda: _was_just_executed(scene, rpc), "an order is executed")
    was = scene.head.hash
    await scene.control("devnet_reorg", DEPTH)
    scene.stage.expect(scene.head.hash != was, f"the chain has another head, {DEPTH} blocks deep")
    await scene.blocks(2)


async def _cut(scene: LiveDevnet) -> None:
    scene.stage.tell("act 4: the way to the chain is cut for both, connections and all, for three blocks")
    for node in scene.nodes.values():
        await node.cable.cut()
    await scene.blocks(3)
    for node in scene.nodes.values():
        await node.cable.restore()
    await scene.blocks(2)


async def _move_clocks(scene: LiveDevnet) -> None:
    seconds = CLOCK_MS // 1_000
    scene.stage.tell(
        f"act 5: {FINDER}'s clock jumps {seconds} s ahead, {LEADER}'s {seconds} s back; then both are right"
    )
    scene.nodes[FINDER].put_clock(CLOCK_MS)
    scene.nodes[LEADER].put_clock(-CLOCK_MS)
    await scene.blocks(4)
    for node in scene.nodes.values():
        node.put_clock(0)


async def _kill_while_reorganised(scene: LiveDevnet, rpc: RpcClient) -> None:
    scene.stage.tell(f"act 6: {DEPTH} blocks, with a paid order, are replaced while both engines are dead")
    await scene.until(scene.are_ready, "all of both nodes is up")
    await scene.until(lambda: _was_just_executed(scene, rpc), "an order is executed")
    killed = {node.name: node.kill("engine") for node in scene.nodes.values()}
    await scene.control("devnet_reorg", DEPTH)
    for name, pid in killed.items():
        await _back(scene, scene.nodes[name], "engine", pid)
    await scene.blocks(2)


async def _was_just_executed(scene: LiveDevnet, rpc: RpcClient) -> bool:
    """Whether an order was, in a block before the last one, so that the nodes know of it, and one that a
    reorganisation undoes.
    """
    number = scene.head.number
    return bool(await _executions(scene, rpc, number - DEPTH + 2, number - 1))


async def _are_executed(scene: LiveDevnet, rpc: RpcClient, first: int) -> bool:
    """Whether enough orders stand executed: what a reorganisation undid does not come again."""
    return len(await _executions(scene, rpc, first, scene.head.number)) >= LEAST_PAID


async def _executions(scene: LiveDevnet, rpc: RpcClient, first: int, last: int) -> list[dict[str, Any]]:
    ledger = scene.stage.manifest.contracts["execution_ledger"]
    wanted = {"address": ledger, "topics": [EXECUTED], "fromBlock": hex(first), "toBlock": hex(last)}
    found: list[dict[str, Any]] = await rpc.call("eth_getLogs", wanted)
    return found


async def _settled(scene: LiveDevnet, watch: ChainWatch) -> Mapping[str, LedgerSummary]:
    """Return the ledgers once they say what the chain says. Raises `ScenarioFailed` if they do not come to it."""
    holdings, ledgers, differing = await watch.holdings(watch.last), dict[str, LedgerSummary](), list[str]()

    async def agree() -> bool:
        differing.clear()
        for node in scene.nodes.values():
            operator = node.prepared.operator
            gained = earned(watch, operator, holdings[operator.name])
            ledger = ledgers[node.name] = _ledger(node, watch)
            outcome = NodeOutcome(operator, ledger, gained, node.process.restarts)
            differing.extend(ledger_differences(scene.stage.manifest, outcome))
            differing.extend(f"{node.name}: {count} entries {what}" for what, count in ledger.troubles.items())
            if ledger.unexplained:
                differing.append(f"{node.name}: {ledger.unexplained} sent without an outcome")
        return not differing

    try:
        await scene.until(agree, "the ledgers say what the chain says", SETTLE_SECONDS)
    except ScenarioFailed as error:
        raise ScenarioFailed("\n  ".join([str(error), *differing])) from None
    for name, ledger in ledgers.items():
        counts = f"{ledger.submitted} sent, {len(ledger.landed)} in a block, {sum(ledger.missed.values())} missed"
        what = f"{name}'s ledger is the chain's to the wei, nothing lost, every miss with its reason: {counts}"
        scene.stage.expect(not differing, what)
    return ledgers


def _ledger(node: LiveNode, watch: ChainWatch) -> LedgerSummary:
    try:
        return read_ledger(node.prepared.config.ledger_path, watch.first, watch.last)
    except LedgerUnreadable:  # not there yet: it differs
        return LedgerSummary()


def _tell_of_orders(
    stage: Stage,
    watch: ChainWatch,
    seats: Mapping[str, Seat],
    ledgers: Mapping[str, LedgerSummary],
    leaders: PlayedLeaders,
) -> None:
    orders = _executed(stage, watch)
    sealed = Counter[str]()
    for ledger in ledgers.values():
        sealed.update(ledger.network.given)
    words = ", ".join(f"{count} {answer}" for answer, count in sorted(sealed.items())) or "none"
    stage.tell(f"  sealed orders from node to node, by answer: {words}")
    tried = f"{leaders.orders} orders, {leaders.refused} times something was refused"
    stage.tell(f"  played leaders offered the builders {tried}; {len(orders)} orders stand executed")
    keys = Counter(order.primary_key for order in orders)
    stage.expect(len(orders) >= LEAST_PAID and set(keys.values()) == {1}, "no order was executed twice")
    finder = seats[FINDER].account
    own = [order for order in orders if order.finder == finder]
    unpaid = [order for order in orders if not 0 < order.paid <= order.received]
    stage.expect(
        not unpaid, f"each finder was paid in the execution itself: {_WETH.shown(sum(o.paid for o in orders))}"
    )
    booked = sorted(ledgers[FINDER].network.paid)
    stage.expect(booked == sorted(order.paid for order in own), f"{FINDER}'s ledger has its {len(own)} payments")


def _executed(stage: Stage, watch: ChainWatch) -> list[ExecutedOrder]:
    ledger = stage.manifest.contracts["execution_ledger"].lower()
    safes = {
        address_from_hex(account(one.account).address): {
            "0x" + vault.safe[2:].lower().rjust(64, "0") for vault in one.vaults
        }
        for one in stage.manifest.operators
    }
    found = []
    for mined in (mined for block in watch.blocks for mined in block.transactions):
        for log in mined.logs:
            if log["address"].lower() == ledger and log["topics"][0] == EXECUTED:
                words = ["address", "address", "uint256", "uint256", "uint256"]
                _, token, _, paid, _ = decode(words, bytes.fromhex(log["data"][2:]))
                finder = address_from_hex("0x" + log["topics"][3][-40:])
                received = sum(
                    int(one["data"], 16)
                    for one in mined.logs
                    if one["address"].lower() == token
                    and one["topics"][0] == _TRANSFER
                    and one["topics"][2] in safes[finder]
                )
                found.append(ExecutedOrder(log["topics"][2], finder, paid, received))
    return found
