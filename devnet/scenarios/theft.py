"""theft: the hot key is stolen, and the thief runs a node with it. It can waste gas, and trade for the Safe; principal
stays. One owner pauses; the account rotates, the Safe resumes, and the owner's node goes on with the new key.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from devnet.accounts import account
from devnet.demo.operators import PreparedNode, Style, prepare_node
from devnet.scenarios.cast import ANYBODY, Seat, veterans
from devnet.scenarios.executions import VaultExecution, executions_of
from devnet.scenarios.live_stage import LiveStage, live_stage
from devnet.scenarios.nodes import LiveNode, builders_endowment, further_node, live
from devnet.scenarios.rotation import by_the_safe, enactment, fund, lay_beside, module_of, put_in_force, tightening
from devnet.scenarios.stage import Stage
from devnet.scenarios.trade import DRAWN, execution, selling_weth
from governance.actions import Action
from governance.amounts import ETHER, Unit
from governance.network import operator_query, request_unstake_call, transfer_call
from governance.policy import LOOSENING_SECONDS
from governance.vault_reading import read_inventory, read_vault
from governance.vaults import Change, ChangeKind
from node.pipeline.pools import PoolFamily
from protocol.ethereum.abi import encode_call
from protocol.units import BlockNumber, TokenAmount, Wei, address_from_hex, address_to_hex

WAIT_SECONDS: Final = 300.0
TRADES: Final = 2
PAUSED_BLOCKS: Final = 4
_WETH: Final = Unit("WETH", 18)
_DUST: Final = Wei(10**17)
"""Left for the gas of what the thief tries next."""
_FAMILIES: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3)
STYLE: Final = Style(_FAMILIES, ("WETH", "USDC", "USDT", "DAI"), Wei(10**14))
_GREED: Final = Style(_FAMILIES, ("WETH", "USDC", "USDT", "DAI"), Wei(0))
"""The thief pays any gas that the trade brings in: it is not its own."""


async def play(stage: Stage) -> None:
    """Let a thief do with the hot key what it can, measure the loss, and let the owners take everything back."""
    await stage.rpc.batch(builders_endowment())
    await stage.begin()
    victim = stage.random.choice(veterans(stage))
    held = await _holdings(stage, victim)
    gas = await _ether(stage, victim.hot_key.address)
    inventory = await read_inventory(stage.reader, victim.safe, module_of(stage))
    stage.expect(inventory is None, "the vault trades what comes back in the same transaction alone")
    stage.tell(f"the bound: principal 0, and the {ETHER.shown(gas)} that the hot key has for gas")

    stage.tell("act 1: the thief cannot take principal")
    await _thief_tries(stage, victim)
    stage.expect(await _holdings(stage, victim) == held, f"the Safe has its {_WETH.shown(held['WETH'])}")

    stage.tell(f"act 2: {victim.name} runs its node, and the thief one of its own with the stolen key")
    async with live(stage, {victim.name: STYLE}) as scene, live_stage(scene) as on_air:
        async with further_node(scene, _thiefs(on_air, victim)) as thief:
            await _robbed(on_air, victim, thief, held, gas)
        await scene.freeze()


async def _robbed(stage: LiveStage, victim: Seat, thief: LiveNode, held: dict[str, int], gas: int) -> None:
    """The thief's node trades, one owner stops both, the account rotates, and the owner's node goes on."""
    scene, node = stage.scene, stage.scene.nodes[victim.name]
    owners = [account(f"{victim.name}-owner-{number}") for number in range(3)]
    fresh = account(f"{victim.name}-fresh-key")

    async def thief_is_ready() -> bool:
        return thief.process.is_ready()

    await scene.until(scene.are_ready, "the owner's node warms up", WAIT_SECONDS)
    await scene.until(thief_is_ready, "the thief's node warms up", WAIT_SECONDS)
    begun = scene.head.number

    async def stolen_key_trades() -> bool:
        return len(await _executions(stage, victim, begun)) >= TRADES

    await scene.until(stolen_key_trades, "the stolen key trades", WAIT_SECONDS)
    traded = await _executions(stage, victim, begun)
    stage.expect(
        all(each.profit > 0 for each in traded), f"each of {len(traded)} trades of the stolen key paid the Safe"
    )

    stage.tell("act 3: any one owner stops it at once, whoever runs with the key")
    pause = await stage.act(owners[2], tightening(stage, victim, Change(kind=ChangeKind.PAUSE, value=1)))
    paused = int(pause["blockNumber"], 16)
    await scene.blocks(PAUSED_BLOCKS)
    stage.expect(
        not await _executions(stage, victim, paused + 1),
        f"in the {PAUSED_BLOCKS} blocks after it, neither node has executed anything with the vault",
    )
    left = await _ether(stage, victim.hot_key.address)
    loot = address_from_hex(account("whale-2").address)
    take = Action(contract="", to=loot, data=b"", title="take the ether", value=Wei(max(0, left - _DUST)))
    await stage.act(victim.hot_key, take)
    lost = gas - await _ether(stage, victim.hot_key.address)
    kept = await _holdings(stage, victim)
    stage.expect(
        0 < lost <= gas and all(kept[symbol] >= amount for symbol, amount in held.items()),
        f"the whole loss is {ETHER.shown(lost)}, within the bound; of no token the Safe has less than before",
    )

    stage.tell("act 4: the new key's keystore is laid beside the node's; the Safe wants it, and to resume, in 48 hours")
    pids = {name: node.pid_of(name) for name in ("engine", "sentry", "desk")}
    await fund(stage, fresh)
    lay_beside(node, fresh)
    rotated = Change(kind=ChangeKind.OPERATOR, subject=address_from_hex(fresh.address))
    resumed = Change(kind=ChangeKind.PAUSE, value=0)
    await by_the_safe(stage, victim, owners[:2], (rotated, resumed))
    await stage.refused(ANYBODY, enactment(stage, victim, rotated), "TooEarly")
    await stage.mine(LOOSENING_SECONDS)
    await put_in_force(stage, victim, fresh)
    await stage.act(ANYBODY, enactment(stage, victim, rotated))
    await stage.act(ANYBODY, enactment(stage, victim, resumed))
    vault = await read_vault(stage.reader, victim.safe, module_of(stage))
    stage.expect(
        vault.operator == address_from_hex(fresh.address) and not vault.paused,
        "the new hot key may execute, the stolen one not",
    )

    async def fresh_key_trades() -> bool:
        return len(await _executions(stage, victim, paused + 1)) >= TRADES

    await scene.until(fresh_key_trades, "the owner's node trades with the new key", WAIT_SECONDS)
    since = await _executions(stage, victim, paused + 1)
    stage.expect(
        {each.sender for each in since} == {fresh.address.lower()},
        f"the owner's node trades on: {len(since)} times, by the new key alone",
    )
    same = {name: node.pid_of(name) for name in pids}
    stage.expect(same == pids, "in the same processes: it was not restarted")
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 10), None)
    await stage.refused(victim.hot_key, execution(stage, victim.safe, plan, "trade once more"), "NotOperator")


def _thiefs(stage: LiveStage, victim: Seat) -> PreparedNode:
    """A node with the one key that was stolen, and without the network: the peer's key was not."""
    (operator,) = (one for one in stage.manifest.operators if one.name == victim.name)
    robbed = replace(operator, name=f"{victim.name}-thief", vaults=operator.vaults[:1])
    return prepare_node(robbed, _GREED, stage.scene.record, stage.manifest, stage.ground.folder / robbed.name)


async def _thief_tries(stage: Stage, victim: Seat) -> None:
    """Everything by which a hot key might move funds or stake."""
    weth = address_from_hex(stage.manifest.contracts["weth"])
    thief = address_from_hex(victim.hot_key.address)
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 1), None)
    losing = execution(stage, victim.safe, plan, "lose the Safe's WETH in a bad trade")
    await stage.refused(victim.hot_key, losing, "ProfitBelowMinimum")
    direct = encode_call(
        "execTransactionFromModule(address,uint256,bytes,uint8)",
        "0x" + weth.hex(), 0, transfer_call(thief, DRAWN), 0,
    )  # fmt: skip
    call = Action(contract="Safe", to=victim.safe, data=direct, title="act for the Safe as if it were the module")
    await stage.refused(victim.hot_key, call, "Error")
    loosen = Change(kind=ChangeKind.BID_CAP, value=10**20)
    await stage.refused(victim.hot_key, tightening(stage, victim, loosen), "NotTighter")
    data = request_unstake_call(TokenAmount(1))
    unstake = Action(contract="NodeStaking", to=stage.contracts.staking, data=data, title="take the stake")
    await stage.refused(victim.hot_key, unstake, "InsufficientStake")
    record = await stage.reader.ask(operator_query(stage.contracts, victim.account))
    stage.expect(record.active > 0, "the stake is where it was")


async def _executions(stage: LiveStage, victim: Seat, since: int) -> list[VaultExecution]:
    module = stage.manifest.contracts["vault_module"]
    return await executions_of(stage.rpc, module, [victim.safe], since, stage.scene.head.number)


async def _holdings(stage: Stage, victim: Seat) -> dict[str, int]:
    """What the Safe has of each plain token, in smallest units."""
    tokens = {token.symbol: token.address for token in stage.manifest.tokens if token.kind == "plain"}
    return {name: await stage.balance(address, address_to_hex(victim.safe)) for name, address in tokens.items()}


async def _ether(stage: Stage, address: str) -> int:
    return int(await stage.rpc.call("eth_getBalance", address, "latest"), 16)
