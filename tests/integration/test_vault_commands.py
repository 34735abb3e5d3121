"""A vault at the command line, on the devnet's own Safes: opened, tightened, loosened, emptied, by those who may."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.world import World
from governance.inventory import InventoryLimits
from governance.policy import LOOSENING_SECONDS
from governance.safe_plans import SafePlan, plan_to_json
from governance.vaults import SafeTransaction, enact_call, propose_call
from protocol.units import BasisPoints, ChainId, TokenAmount, address_from_hex
from tests.chain import Chain
from tests.network_scene import ETHER, deployed_network
from tests.operator_scene import Shell, give_ether, shell_for

pytestmark = pytest.mark.anvil

STRANGER = account("rival-7")
OWNERS = tuple(account(f"north-owner-{index}") for index in range(3))
HOT = account("north-key-0")


class VaultShell:
    """The commands against the first vault of the world's first operator."""

    def __init__(self, shell: Shell, world: World) -> None:
        self.shell, self.contracts = shell, world.manifest.contracts
        self.safe = world.manifest.operators[0].vaults[0].safe
        self.weth, self.usdc = self.contracts["weth"], world.manifest.token("USDC").address

    async def stands(self) -> dict[str, Any]:
        return await self.shell.read("vault", "status", "--safe", self.safe)

    async def execute(self, plan: Path, *owners: Any) -> None:
        """Sign by each owner, on copies that are collected, and execute by somebody."""
        for number, owner in enumerate(owners):
            copy = plan.with_name(f"copy-{number}.json")
            shutil.copy(plan, copy)
            signed = await self.bare("vault", "sign", str(copy), "--keystore", self.shell.keystore(owner), "--yes")
            assert signed.exit_code == 0, signed.output
            collected = await self.bare("vault", "collect", str(plan), str(copy))
            assert collected.exit_code == 0, collected.output
        await self.shell.act(STRANGER, "vault", "execute", str(plan))

    async def bare(self, *words: str) -> Any:
        return await self.shell.run_offline(*words)


@pytest.fixture
async def vault(chain: Chain, world: World, tmp_path: Path) -> VaultShell:
    scene = await deployed_network(chain, world.manifest.contracts["weth"], tmp_path / "deployment.json")
    await give_ether(scene, STRANGER, *OWNERS)
    module = address_from_hex(world.manifest.contracts["vault_module"])
    return VaultShell(await shell_for(scene, tmp_path, module), world)


async def test_status_and_limits_tell_what_the_chain_has(vault: VaultShell) -> None:
    stands = await vault.stands()
    assert (stands["opened"], stands["paused"], stands["threshold"]) == (True, False, 2)
    assert stands["hot_key"] == HOT.address
    assert {each["symbol"] for each in stands["tokens"]} == {"WETH", "USDC", "USDT", "DAI", "WBTC"}
    told = await vault.shell.run("vault", "limits", "--safe", vault.safe)
    assert "4 ETH in bids" in told.stdout
    assert "principal       0" in told.stdout
    assert "gas             20 ETH" in told.stdout
    shown = await vault.shell.run("vault", "status", "--safe", vault.safe)
    assert "2 of 3 sign" in shown.stdout


async def test_one_owner_or_the_hot_key_tightens_at_once_and_a_stranger_does_not(vault: VaultShell) -> None:
    await vault.shell.act(OWNERS[2], "vault", "tighten", "--safe", vault.safe, "--bid-cap", "0.25 ether")
    await vault.shell.act(OWNERS[1], "vault", "tighten", "--safe", vault.safe, "--draw", vault.weth, "1 WETH")
    await vault.shell.act(HOT, "vault", "pause", "--safe", vault.safe)
    stands = await vault.stands()
    assert stands["paused"]
    assert stands["bid_cap_wei"] == str(ETHER // 4)
    assert {str(ETHER)} == {each["max_draw"] for each in stands["tokens"] if each["symbol"] == "WETH"}

    for words, who, why in (
        (("--bid-cap", "0.5 ether"), OWNERS[0], "hftnode vault loosen"),
        (("--unpin", vault.weth), STRANGER, "act by an owner"),
    ):
        signer = ("--keystore", vault.shell.keystore(who), "--yes")
        result = await vault.shell.run("vault", "tighten", "--safe", vault.safe, *words, *signer)
        assert result.exit_code == 4, result.output
        assert why in result.stderr


async def test_a_pause_is_lifted_by_the_safe_in_48_hours(vault: VaultShell, tmp_path: Path) -> None:
    await vault.shell.act(HOT, "vault", "pause", "--safe", vault.safe)
    plan = tmp_path / "resume.json"
    told = await vault.shell.read("vault", "loosen", "--safe", vault.safe, "--resume", "--out", str(plan))
    assert told["transactions"][0]["words"] == "propose, due in 48 hours: let the vault execute again"

    too_few = await vault.shell.run(
        "vault", "execute", str(plan), "--keystore", vault.shell.keystore(STRANGER), "--yes"
    )
    assert too_few.exit_code == 1
    assert "0 of its owners have signed, the Safe wants 2" in too_few.stderr
    await vault.execute(plan, OWNERS[0], OWNERS[2])
    shown = await vault.shell.run("vault", "show", str(plan))
    assert "signed by 2 of the 2 owners" in shown.stdout
    again = await vault.shell.run("vault", "execute", str(plan), "--keystore", vault.shell.keystore(STRANGER), "--yes")
    assert again.exit_code == 1
    assert "nonce" in again.stderr

    enact = ("vault", "enact", "--safe", vault.safe, "--resume")
    early = await vault.shell.run(*enact, "--keystore", vault.shell.keystore(STRANGER), "--yes")
    assert early.exit_code == 4
    await vault.shell.pass_time(LOOSENING_SECONDS)
    await vault.shell.act(STRANGER, *enact)
    assert not (await vault.stands())["paused"]


async def test_the_safe_turns_inventory_mode_on_and_one_owner_tightens_and_ends_it(
    vault: VaultShell, tmp_path: Path
) -> None:
    limits = (
        ("--loss-band", "0.5 %"),
        ("--agreement", "1 %"),
        ("--max-loss", vault.usdc, "1000 USDC"),
        ("--max-turnover", vault.usdc, "50000 USDC"),
        ("--unit", vault.usdc),
    )
    told = []
    for number, words in enumerate(limits):
        plan = tmp_path / f"loosen-{number}.json"
        answer = await vault.shell.read("vault", "loosen", "--safe", vault.safe, *words, "--out", str(plan))
        told.append(answer["transactions"][0]["words"].partition(": ")[2])
        await vault.execute(plan, OWNERS[0], OWNERS[1])
    assert told == [
        "let one trade of inventory lose at most 0.5 % of what it sells",
        "believe prices that differ by at most 1 %",
        "let all trades of inventory lose at most 1000000000 smallest units of the vault's unit, as much a day",
        "let all trades of inventory sell at most 50000000000 smallest units of the vault's unit, as much a day",
        f"value inventory in the token {vault.usdc}",
    ]
    await vault.shell.pass_time(LOOSENING_SECONDS)
    for words in limits:
        await vault.shell.act(STRANGER, "vault", "enact", "--safe", vault.safe, *words)
    shown = await vault.shell.run("vault", "limits", "--safe", vault.safe)
    assert "one trade may lose      0.5 % of what it sells" in shown.stdout
    assert "all trades may lose     1,000 USDC" in shown.stdout

    await vault.shell.act(OWNERS[2], "vault", "tighten", "--safe", vault.safe, "--max-loss", vault.usdc, "10 USDC")
    shown = await vault.shell.run("vault", "limits", "--safe", vault.safe)
    assert "all trades may lose     10 USDC" in shown.stdout
    nobody = "0x" + "00" * 20
    await vault.shell.act(OWNERS[2], "vault", "tighten", "--safe", vault.safe, "--unit", nobody)
    assert "all trades may lose" not in (await vault.shell.run("vault", "limits", "--safe", vault.safe)).stdout


async def test_each_limit_of_inventory_is_proposed_in_words_that_are_read_back(
    vault: VaultShell, tmp_path: Path
) -> None:
    feed, pool, exchange = ("0x" + digit * 40 for digit in "567")
    for number, (words, said) in enumerate(
        (
            (("--feed", vault.weth, feed, "3600 seconds"), f"from the feed {feed}, at most 3600 seconds old"),
            (("--pool", vault.weth, pool), f"check the price of {vault.weth} by the pool {pool}"),
            (("--held-at-least", vault.weth, "2 WETH"), "leave at least 2 WETH"),
            (("--held-at-most", vault.weth, "9 WETH"), "to at most 9 WETH"),
            (("--exchange", exchange, vault.usdc, "500 USDC"), f"send {exchange} at most 500 USDC"),
        )
    ):
        plan = str(tmp_path / f"plan-{number}.json")
        answer = await vault.shell.read("vault", "loosen", "--safe", vault.safe, *words, "--out", plan)
        assert said in answer["transactions"][0]["words"]


async def test_deposits_and_withdrawals_move_what_they_say_also_while_paused(vault: VaultShell, tmp_path: Path) -> None:
    chain = vault.shell.scene.chain
    await chain.send(STRANGER, vault.weth, "deposit()", value=ETHER)
    before = await chain.balance(vault.weth, vault.safe)
    await vault.shell.act(STRANGER, "vault", "deposit", "--safe", vault.safe, vault.weth, "1 WETH")
    assert await chain.balance(vault.weth, vault.safe) == before + ETHER

    await vault.shell.act(HOT, "vault", "pause", "--safe", vault.safe)
    plan = tmp_path / "out.json"
    words = ("vault", "withdraw", "--safe", vault.safe, vault.weth, "0.5 WETH", "--to", OWNERS[0].address)
    had = await chain.balance(vault.weth, OWNERS[0].address)
    told = await vault.shell.read(*words, "--out", str(plan))
    assert told["transactions"][0]["words"] == f"send 0.5 WETH ({vault.weth}) to {OWNERS[0].address}"
    await vault.execute(plan, OWNERS[1], OWNERS[2])
    assert await chain.balance(vault.weth, OWNERS[0].address) == had + ETHER // 2

    over = await vault.shell.run(*words, "--out", str(plan))
    assert "is there already" in over.stderr


async def test_a_safe_opens_its_vault(vault: VaultShell, tmp_path: Path) -> None:
    safe, owners = vault.contracts["safe"], [account(f"safe-owner-{index}") for index in range(2)]
    plan, batch = tmp_path / "open.json", tmp_path / "batch.json"
    words = ("vault", "create", "--safe", safe, "--hot-key", HOT.address, "--executor", vault.contracts["arb_executor"])
    limits = ("--bid-cap", "0.5 ether", "--draw", vault.weth, "3 WETH")
    told = await vault.shell.read(*words, *limits, "--out", str(plan))
    assert "(the vault module) act for the Safe" in told["transactions"][0]["words"]
    assert "draws at most 3 WETH" in told["transactions"][1]["words"]
    exported = await vault.bare("vault", "export", str(plan), "--out", str(batch))
    assert exported.exit_code == 0, exported.output
    assert [each["to"] for each in json.loads(batch.read_text())["transactions"]] == [
        safe,
        vault.contracts["vault_module"],
    ]

    await vault.execute(plan, *owners)
    stands = await vault.shell.read("vault", "status", "--safe", safe)
    assert stands["opened"]
    assert stands["module_enabled"]
    assert stands["bid_cap_wei"] == str(ETHER // 2)
    twice = await vault.shell.run(*words, *limits, "--out", str(tmp_path / "twice.json"))
    assert "is open" in twice.stderr


async def test_a_file_is_not_believed(vault: VaultShell, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    await vault.shell.read("vault", "loosen", "--safe", vault.safe, "--resume", "--out", str(plan))
    signed = await vault.bare("vault", "sign", str(plan), "--keystore", vault.shell.keystore(OWNERS[0]), "--yes")
    assert signed.exit_code == 0
    tree = json.loads(plan.read_text())
    tree["transactions"][0]["nonce"] = "77"
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(tree))
    shown = await vault.shell.run("vault", "show", str(forged))
    assert shown.exit_code == 1
    assert "is not its own, or not of these bytes" in shown.stderr
    tree["signatures"] = []
    forged.write_text(json.dumps(tree))
    merged = await vault.bare("vault", "collect", str(plan), str(forged))
    assert "different transactions" in merged.stderr
    tree["transactions"][0]["data"] = "0x12345678"
    tree["transactions"][0]["to"] = vault.weth
    forged.write_text(json.dumps(tree))
    assert "UNKNOWN CALL" in (await vault.shell.run("vault", "show", str(forged))).stdout
    forged.write_text("{}")
    assert "no plan of a Safe" in (await vault.shell.run("vault", "show", str(forged))).stderr


async def test_the_bound_of_a_vault_that_trades_inventory_is_what_its_buckets_hold(vault: VaultShell) -> None:
    chain = vault.shell.scene.chain
    limits = InventoryLimits(
        unit=address_from_hex(vault.usdc),
        loss_band=BasisPoints(100),
        agreement=BasisPoints(200),
        max_loss=TokenAmount(1_000 * 10**6),
        max_turnover=TokenAmount(50_000 * 10**6),
    )
    module, safe = address_from_hex(vault.contracts["vault_module"]), address_from_hex(vault.safe)
    nonce = (await vault.stands())["nonce"]
    plan = SafePlan(
        chain_id=ChainId(CHAIN_ID),
        safe=safe,
        module=module,
        transactions=tuple(
            SafeTransaction(module, propose_call(change), nonce + place)
            for place, change in enumerate(limits.changes())
        ),
    )
    path = vault.shell.folder / "inventory.json"
    path.write_bytes(plan_to_json(plan))
    shown = await vault.shell.run("vault", "show", str(path))
    assert "let all trades of inventory sell at most 50000000000 smallest units" in shown.stdout
    await vault.execute(path, OWNERS[0], OWNERS[1])
    await vault.shell.pass_time(LOOSENING_SECONDS)
    for change in limits.changes():
        sent = await chain.send_data(STRANGER, vault.contracts["vault_module"], enact_call(safe, change))
        assert sent["status"] == "0x1"

    told = await vault.shell.run("vault", "limits", "--safe", vault.safe)
    assert "all trades may sell     50,000 USDC, of which 0 USDC are used" in told.stdout
    assert "2,000.100011 USDC at once, if each token's price is 1 % off" in told.stdout
    bound = await vault.shell.read("vault", "limits", "--safe", vault.safe, "--price-error-bps", "0")
    assert bound["theft_bound"]["principal"] == 1_000 * 10**6
