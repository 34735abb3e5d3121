"""A node that runs gets another hot key, and lands finds before, meanwhile and after, in the same processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.packages import Packages
from devnet.scenarios import run
from devnet.scenarios.cast import ANYBODY, Seat, veterans
from devnet.scenarios.executions import VaultExecution, executions_of
from devnet.scenarios.live_stage import LiveStage, live_stage
from devnet.scenarios.nodes import LiveNode, builders_endowment, live
from devnet.scenarios.rotation import by_the_safe, enactment, fund, lay_beside, put_in_force
from devnet.scenarios.run import run_scenario
from devnet.scenarios.stage import Stage
from devnet.scenarios.theft import STYLE
from devnet.world import World
from governance.policy import LOOSENING_SECONDS
from governance.vaults import Change, ChangeKind
from protocol.units import address_from_hex

pytestmark = pytest.mark.anvil

NAME, SECONDS, TRADES = "centre", 300.0, 2


async def executions(stage: LiveStage, seat: Seat, since: int) -> list[VaultExecution]:
    module = stage.manifest.contracts["vault_module"]
    return await executions_of(stage.rpc, module, [seat.safe], since, stage.scene.head.number)


async def landed(stage: LiveStage, seat: Seat, since: int, sender: str) -> None:
    """Wait until a key of the vault has executed TRADES times since a block."""

    async def are_there() -> bool:
        found = await executions(stage, seat, since)
        return sum(each.sender == sender.lower() for each in found) >= TRADES

    await stage.scene.until(are_there, f"{sender} executes", SECONDS)


def keeps_to_itself(pid: int, *secrets: str) -> None:
    """Whoever lists the machine's processes finds no secret, and no core of this one would hold any."""
    told = Path(f"/proc/{pid}")
    for name in ("cmdline", "environ"):
        assert not [secret for secret in secrets if secret.encode() in (told / name).read_bytes()], name
    (limit,) = (line for line in (told / "limits").read_text().splitlines() if line.startswith("Max core file size"))
    assert limit.split()[4:6] == ["0", "0"]
    assert int((told / "coredump_filter").read_text(), 16) == 0


async def rotated(stage: LiveStage, seat: Seat, node: LiveNode) -> None:
    fresh = account(f"{seat.name}-fresh-key")
    owners = [account(f"{seat.name}-owner-{number}") for number in range(2)]
    await stage.scene.until(stage.scene.are_ready, "the node warms up", SECONDS)
    pids = {name: node.pid_of(name) for name in ("engine", "sentry", "desk")}
    await landed(stage, seat, stage.scene.head.number, seat.hot_key.address)

    await fund(stage, fresh)
    lay_beside(node, fresh)
    change = Change(kind=ChangeKind.OPERATOR, subject=address_from_hex(fresh.address))
    await by_the_safe(stage, seat, owners, [change])
    await stage.mine(LOOSENING_SECONDS)
    await landed(stage, seat, stage.scene.head.number, seat.hot_key.address)

    in_force = int((await put_in_force(stage, seat, fresh))["blockNumber"], 16)
    enacted = int((await stage.act(ANYBODY, enactment(stage, seat, change)))["blockNumber"], 16)
    await landed(stage, seat, enacted + 1, fresh.address)

    found = await executions(stage, seat, in_force)
    assert {each.sender for each in found if each.block > enacted} == {fresh.address.lower()}
    assert {name: node.pid_of(name) for name in pids} == pids, "nothing was restarted"
    for pid in pids.values():
        assert pid is not None
        keeps_to_itself(pid, node.prepared.password_path.read_text().strip(), fresh.secret.hex())
    log = node.log("engine")
    assert f"the hot key {fresh.address} is in force from block {in_force} on" in log
    assert fresh.secret.hex() not in log


@pytest.mark.timeout(600)  # it runs in real time
async def test_a_node_goes_on_while_its_hot_key_is_rotated(
    packages: Packages, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(stage: Stage) -> None:
        await stage.rpc.batch(builders_endowment())
        await stage.begin()
        (seat,) = (seat for seat in veterans(stage) if seat.name == NAME)
        async with live(stage, {NAME: STYLE}) as scene, live_stage(scene) as on_air:
            await rotated(on_air, seat, scene.nodes[NAME])
            await scene.freeze()

    monkeypatch.setattr(run, "SCENARIOS", {"rotation": play})
    told: list[str] = []
    await run_scenario("rotation", 1, packages, world, told.append)
    assert any(line.endswith("equal") for line in told)
