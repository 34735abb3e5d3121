"""Slashing among nodes that run: what one operator signs against itself the others find, prove and take to the court.

Nobody helps: evidence is sent by the nodes, from their hot keys. A node whose journal is put back as of before it
signed anything is no danger to itself: it sees that it cannot know what it has signed, and signs nothing slashable.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Final

from devnet.accounts import Account, account
from devnet.demo.ledger_reading import LedgerUnreadable, accepted_for
from devnet.demo.operators import Style
from devnet.scenarios.cast import Seat, next_epoch
from devnet.scenarios.cheat import Cheat, cheating
from devnet.scenarios.live_stage import LiveStage, live_stage
from devnet.scenarios.nodes import LiveNode, live
from devnet.scenarios.stage import Stage
from governance.actions import Action
from governance.amounts import HFT
from governance.contracts import VAULT_MODULE
from governance.network import OffenceRecord, offence_query, operator_query
from governance.vaults import Change, ChangeKind, tighten_call
from node.engine.network.hot_key import JOURNAL
from node.pipeline.pools import PoolFamily
from protocol.evidence import Evidence, evidence_of
from protocol.slashing import HORIZON, Refusal, offence_id
from protocol.units import Address, Wei, address_from_hex

WAIT_SECONDS: Final = 240.0
"""For what depends on whose turn it is."""
_ALL: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3, PoolFamily.BALANCER_V2_WEIGHTED)
_FINDERS: Final = Style(_ALL, ("WETH", "USDC", "USDT", "DAI"), Wei(10**14))
_LEADERS: Final = Style(_ALL[::2], ("WETH", "USDC", "USDT", "DAI"), Wei(10**14))
"""Of what a leader has found itself it accepts no order."""


async def offence_among_nodes(stage: Stage, finder: Seat, leader: Seat, cheat: Seat) -> None:
    """Play it: two nodes run, a finder whose vault is paused and one that lacks nothing, and the cheat."""
    stage.tell(f"act 1: {finder.name} runs its node, and gives what it finds away, as its vaults are paused")
    stage.tell(f"  {leader.name} runs its node and executes for others; {cheat.name} accepts whatever it is asked")
    await _pause(stage, finder)
    await next_epoch(stage, ())
    styles = {finder.name: _FINDERS, leader.name: _LEADERS}
    async with live(stage, styles, {cheat.name: _LEADERS}) as scene, live_stage(scene) as on_air:
        async with cheating(scene, scene.apart[cheat.name]) as rogue:
            await scene.until(scene.are_ready, "the nodes warm up")
            await _restored(on_air, finder, leader)
            on_air.tell(f"act 3: {leader.name}'s vaults are paused too: both ask {cheat.name}, and it promises both")
            await _pause(on_air, leader)
            await _found_out(on_air, (finder, leader), cheat, rogue)
        await scene.freeze()


async def _restored(stage: LiveStage, finder: Seat, leader: Seat) -> None:
    """Put a node's journal back as it was before it accepted anything, and see it accept nothing."""
    scene, node = stage.scene, stage.scene.nodes[leader.name]
    files = [node.prepared.config.data_folder / name for name in (JOURNAL, f"{JOURNAL}.lease")]
    yesterday = node.prepared.config_path.with_name("yesterday")
    yesterday.mkdir()
    for file in files:
        shutil.copy2(file, yesterday)

    async def has_accepted() -> bool:
        return bool(_accepted(node, finder))

    await scene.until(has_accepted, f"{leader.name} accepts an order of {finder.name}", WAIT_SECONDS)
    await node.process.stop()
    accepted, ended = _accepted(node, finder), scene.head.number
    stage.tell(f"act 2: {leader.name}'s node ends after {len(accepted)} accepts, and starts with the journal of before")
    for file in files:
        file.rename(file.with_name(f"{file.name}.broken"))
        shutil.copy2(yesterday / file.name, file)
    await node.process.start()
    await scene.until(scene.are_ready, f"{leader.name} is back", WAIT_SECONDS)

    async def has_refused() -> bool:
        return Refusal.BELOW_FLOOR.value in node.log("engine")

    await scene.until(has_refused, f"{leader.name} does not accept an order that it would have accepted", WAIT_SECONDS)
    since = [block for block in _accepted(node, finder)[len(accepted) :] if block <= ended + HORIZON]
    stage.expect(not since, "what it would accept it does not: it cannot know what it has signed")


async def _found_out(stage: LiveStage, honest: Sequence[Seat], cheat: Seat, rogue: Cheat) -> None:
    before = [await _stake(stage, seat) for seat in (cheat, *honest)]

    async def has_doubled() -> bool:
        return bool(rogue.signer.doubled)

    rogue.is_loyal = False
    await stage.scene.until(has_doubled, f"{cheat.name} accepts two orders for one leg", WAIT_SECONDS)
    proofs = [evidence_of(cheat.account, *rogue.signer.doubled)]
    block = rogue.signer.doubled[0].accept.target_block
    stage.tell(f"  {cheat.name} has accepted two orders for one leg of block {block}")
    proofs.append(await rogue.contradict())
    stage.tell(f"  {cheat.name} has said of one alert that it is true, and that it is not")

    async def are_with_the_court() -> bool:
        return all([(await _offence(stage, proof)).state for proof in proofs])

    await stage.scene.until(are_with_the_court, "the court has both", WAIT_SECONDS)
    offences = [await _offence(stage, proof) for proof in proofs]
    nodes = {address_from_hex(seat.hot_key.address): seat.name for seat in honest}
    for proof, offence in zip(proofs, offences, strict=True):
        what = proof.kind.name.lower().replace("_", " ")
        reporter = nodes.get(offence.reporter, "nobody's node")
        stage.expect(
            offence.reporter in nodes and offence.operator == cheat.account,
            f"the {what} was found, proven and reported by {reporter}'s node by itself",
        )
    after = [await _stake(stage, seat) for seat in (cheat, *honest)]
    amounts = [offence.amount for offence in offences]
    either = [_penalties(before[0], shares) for shares in ((100, 500), (500, 100))]
    stage.expect(
        before[0] - after[0] == sum(amounts) and sorted(amounts) in [sorted(penalties) for penalties in either],
        f"a hundredth and a twentieth of its stake, {HFT.shown(sum(amounts))}, are in escrow",
    )
    lost = [await _recent_loss(stage, seat.account) for seat in honest]
    stage.expect(after[1:] == before[1:] and not any(lost), "nobody else has lost anything, nor has the restored node")


def _accepted(node: LiveNode, finder: Seat) -> list[int]:
    """The blocks for which a leader's ledger has accepts for a finder; none where there is no ledger."""
    try:
        return accepted_for(node.prepared.config.ledger_path, finder.account)
    except LedgerUnreadable:
        return []


def _penalties(stake: int, shares: Sequence[int]) -> list[int]:
    """What is taken of a stake, one after the other, by shares in basis points."""
    taken = []
    for share in shares:
        taken.append(stake * share // 10_000)
        stake -= taken[-1]
    return taken


async def _pause(stage: Stage, seat: Seat) -> None:
    """Let one owner pause all vaults of an operator."""
    (operator,) = (one for one in stage.manifest.operators if one.name == seat.name)
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    owner: Account = account(operator.owners[0])
    for vault in operator.vaults:
        data = tighten_call(address_from_hex(vault.safe), Change(kind=ChangeKind.PAUSE, value=1))
        title = f"pause the vault of {vault.safe}"
        await stage.act(owner, Action(contract=VAULT_MODULE, to=module, data=data, title=title))


async def _offence(stage: Stage, proof: Evidence) -> OffenceRecord:
    return await stage.reader.ask(offence_query(stage.contracts, offence_id(proof)))


async def _stake(stage: Stage, seat: Seat) -> int:
    return (await stage.reader.ask(operator_query(stage.contracts, seat.account))).active


async def _recent_loss(stage: Stage, operator: Address) -> int:
    return await stage.reader.number(stage.contracts.court, "recentLoss(address)", "0x" + operator.hex())
