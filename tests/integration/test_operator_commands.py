"""An operator's commands on a real chain: joins, stakes, votes, brakes, earns, leaves."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.accounts import Account, account
from devnet.world import World
from governance.policy import DAY, UNBONDING_SECONDS, Parameter
from node.config import NetworkConfig
from protocol.units import TokenAmount, address_from_hex
from tests.chain import Chain
from tests.network_scene import ALICE, BOB, ETHER, NetworkScene, deployed_network
from tests.operator_scene import PEER_ID, Shell, give_ether, shell_for
from tests.unit.test_remote_signer import MockWeb3Signer, public_key

pytestmark = pytest.mark.anvil

HOT, SECOND_HOT = account("rival-0"), account("rival-1")
HELD = TokenAmount(20_000 * ETHER)


@pytest.fixture
async def shell(chain: Chain, world: World, tmp_path: Path) -> Shell:
    scene = await deployed_network(chain, world.manifest.contracts["weth"], tmp_path / "deployment.json")
    await give_ether(scene, ALICE, BOB, HOT, SECOND_HOT)
    await scene.fund(ALICE, HELD)
    await scene.fund(BOB, HELD)
    return await shell_for(scene, tmp_path)


async def join(shell: Shell, who: Account = ALICE, hot: Account = HOT, amount: str = "15000 HFT") -> dict[str, Any]:
    words = ("join", "--stake", amount, "--hot-keystore", shell.keystore(hot), "--peer-id", PEER_ID)
    return await shell.act(who, *words)


async def to_open_check_in(scene: NetworkScene) -> None:
    """Let the next epoch begin, so that check-in is open for a while."""
    rules = await scene.client(ALICE).epoch_rules()
    head = await scene.head()
    await scene.mine_to(rules.first_block(rules.epoch_of(head)) + rules.length)


async def test_the_staking_key_stays_at_a_remote_signer(shell: Shell) -> None:
    mock = MockWeb3Signer(ALICE.secret, BOB.secret)
    hot = ("--hot-keystore", shell.keystore(HOT), "--peer-id", PEER_ID)
    with mock.running() as url:
        signer = ("--remote-signer", url, "--account", ALICE.address, "--yes", "--json")
        joined = await shell.run("join", "--stake", "15000 HFT", *hot, *signer)
        assert joined.exit_code == 0, joined.output
        mock.signed = lambda _, data: MockWeb3Signer.sign(mock, public_key(BOB.secret), data)
        forged = await shell.run("stake", "add", "500 HFT", *signer)
    assert forged.exit_code == 1
    assert f"not as {ALICE.address}: nothing was sent" in forged.stderr
    stands = await shell.read("stake", "status", "--operator", ALICE.address)
    assert stands["active"] == str(15_000 * ETHER)
    gone = await shell.run("stake", "add", "500 HFT", *signer)
    assert gone.exit_code == 1
    assert f"remote signer {url}: cannot be reached" in gone.stderr


async def test_an_operator_joins_rotates_its_key_leaves_and_is_paid_out(shell: Shell) -> None:
    await to_open_check_in(shell.scene)
    told = await join(shell)
    assert len(told["receipts"]) == 4, "registered, approved, staked, checked in"

    stands = await shell.read("stake", "status", "--operator", ALICE.address)
    assert stands["registered"]
    assert stands["hot_key"] == HOT.address
    assert stands["active"] == str(15_000 * ETHER)
    assert stands["check_in"]["checked_in"]
    assert stands["free"] == 0, "locked by the check-in"

    rules = await shell.scene.client(ALICE).epoch_rules()
    await shell.scene.mine_to(rules.first_block(rules.epoch_of(await shell.scene.head())) + rules.length)
    rolled = await shell.act(BOB, "stake", "roll")
    assert "1 operators with 15,000 HFT checked in" in rolled["effects"][0]
    again = await shell.run("stake", "roll", "--keystore", shell.keystore(BOB), "--yes")
    assert again.exit_code == 4
    assert "the epoch has its seed" in again.stderr
    await shell.act(HOT, "stake", "check-in")
    twice = await shell.run("stake", "check-in", "--keystore", shell.keystore(ALICE), "--yes")
    assert twice.exit_code == 1

    await shell.act(ALICE, "stake", "add", "500 HFT")
    await shell.act(ALICE, "stake", "rotate", "--hot-keystore", shell.keystore(SECOND_HOT))
    refused = await shell.run("stake", "exit", "15500 HFT", "--keystore", shell.keystore(ALICE), "--yes")
    assert refused.exit_code == 4, refused.output
    assert "not locked" in refused.stderr
    assert "hftnode stake status" in refused.stderr

    await shell.scene.mine_to(rules.first_block(rules.epoch_of(await shell.scene.head())) + 2 * rules.length)
    await shell.act(ALICE, "stake", "exit", "--all")
    early = await shell.run("stake", "withdraw", "--keystore", shell.keystore(ALICE), "--yes")
    assert early.exit_code == 4
    await shell.pass_time(UNBONDING_SECONDS)
    await shell.act(ALICE, "stake", "withdraw")

    stands = await shell.read("stake", "status", "--operator", ALICE.address)
    assert (stands["active"], stands["leaving"], stands["tokens"]) == (0, 0, str(HELD))
    assert stands["hot_key"] == SECOND_HOT.address


async def test_joining_twice_does_only_what_is_missing(shell: Shell) -> None:
    await join(shell)
    again = await join(shell, amount="16000 HFT")
    titles = [action["title"] for action in again["actions"]]
    assert titles[:2] == ["allow the registry to take 1,000 HFT", "stake 1,000 HFT"]
    assert not any("register as" in title for title in titles)


async def test_joining_tells_what_the_configuration_needs_for_the_node_to_be_in_the_network(shell: Shell) -> None:
    words = ("join", "--stake", "15000 HFT", "--hot-keystore", shell.keystore(HOT), "--peer-id", PEER_ID)
    for _ in range(2):  # also who has joined already is told
        told = await shell.run(*words, "--keystore", shell.keystore(ALICE), "--yes")
        assert told.exit_code == 0, told.output
        section = tomllib.loads(told.output[told.output.index("[network]") :])["network"]
        fields = {field.name: field for field in msgspec.structs.fields(NetworkConfig)}
        assert {name for name, field in fields.items() if field.required} <= set(section) <= set(fields)
        contracts = msgspec.structs.asdict(shell.scene.contracts) | {"operator": address_from_hex(ALICE.address)}
        for name in ("operator", "staking", "ledger", "court", "brake", "parameters", "governor"):
            assert address_from_hex(section[name]) == contracts[name], name


async def test_what_cannot_join_is_told_all_at_once(shell: Shell) -> None:
    poor = account("rival-5")
    words = ("join", "--stake", "30000 HFT", "--hot-keystore", shell.keystore(poor), "--peer-id", PEER_ID)
    result = await shell.run(*words, "--keystore", shell.keystore(poor), "--yes", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["code"] == 1
    for part in ("the hot key is the staking account", "the account has 0 HFT", "has no ether"):
        assert part in told["error"]


async def test_a_dry_run_sends_nothing_and_without_a_terminal_nothing_is_asked(shell: Shell) -> None:
    await join(shell)
    before = await shell.scene.head()
    words = ("stake", "add", "100 HFT", "--keystore", shell.keystore(ALICE))
    dry = await shell.run(*words, "--dry-run", mine=False)
    assert dry.exit_code == 0, dry.output
    assert "active stake: 15,000 HFT → 15,100 HFT" in dry.stdout
    assert "dry run" in dry.stdout
    silent = await shell.run(*words, mine=False)
    assert silent.exit_code == 5
    assert "nobody is here to agree" in silent.stderr
    assert await shell.scene.head() == before


async def test_what_is_in_no_block_by_the_deadline_ends_with_its_own_code(shell: Shell) -> None:
    await join(shell)
    words = ("stake", "add", "100 HFT", "--keystore", shell.keystore(ALICE), "--yes", "--deadline", "1")
    result = await shell.run(*words, mine=False)
    assert result.exit_code == 6, result.output
    assert "may still be mined" in result.stderr


async def test_a_parameter_is_changed_by_proposal_vote_queue_and_execution(shell: Shell) -> None:
    await join(shell)
    await shell.pass_time(2)
    told = await shell.act(ALICE, "gov", "propose", "set", "min-stake", "2000 HFT", "--why", "spam")
    assert "min-stake: 1,000 HFT → 2,000 HFT" in told["effects"]
    (listed,) = (await shell.read("gov", "list"))["proposals"]
    number = listed["proposal"]
    assert listed["state"] == "pending"
    assert listed["actions"] == [{"kind": "SetParameter", "words": "set min-stake to 2,000 HFT"}]

    await shell.pass_time(DAY + 1)
    voted = await shell.act(ALICE, "gov", "vote", number, "for")
    assert "your votes: 15,000 HFT" in voted["effects"]
    twice = await shell.run("gov", "vote", number, "for", "--keystore", shell.keystore(ALICE), "--yes")
    assert twice.exit_code == 4
    assert "has voted" in twice.stderr
    shown = await shell.run("gov", "show", number)
    assert "quorum    15,000 HFT of 1,500 HFT (1000 %): reached" in shown.stdout
    assert "blocks)" in shown.stdout

    await shell.pass_time(5 * DAY)
    await shell.act(BOB, "gov", "queue", number)
    early = await shell.run("gov", "execute", number, "--keystore", shell.keystore(BOB), "--yes")
    assert early.exit_code == 4
    await shell.pass_time(2 * DAY)
    await shell.act(BOB, "gov", "execute", number)
    assert await shell.scene.client(ALICE).parameter(Parameter.MIN_STAKE) == 2_000 * ETHER
    assert (await shell.read("gov", "list"))["proposals"] == []
    (over,) = (await shell.read("gov", "list", "--all"))["proposals"]
    assert over["state"] == "executed"


async def test_every_ready_made_proposal_is_simulated_and_described(shell: Shell) -> None:
    await join(shell)
    await shell.pass_time(2)
    someone = "0x" + "ab" * 20
    for words, effect in (
        (("remove", someone), f"take {someone} out of use, for ever"),
        (("fund-work", "500 HFT"), "mint 500 HFT"),
        (("release-brake",), "release the brake"),
        (("release-brake", "--subject", someone), f"release the brake on {someone}"),
        (("set-executor", someone, "on"), f"let {someone} execute orders"),
        (("set", "protocol-fee-bps", "0.5 %"), "protocol-fee-bps: 1 % → 0.5 %"),
    ):
        signer = ("--keystore", shell.keystore(ALICE))
        result = await shell.run("gov", "propose", *words, "--why", "a test", "--dry-run", *signer)
        assert result.exit_code == 0, result.output
        assert effect in result.stdout
    for words, why in (
        (("fund-stream", "1 WETH"), "the Timelock has 0 WETH"),
        (("cancel-slash", "0x" + "11" * 32), "is not in escrow"),
        (("set-executor", someone, "off"), "it is off already"),
        (("set", "min-stake", "1000 HFT"), "is 1,000 HFT already"),
    ):
        result = await shell.run("gov", "propose", *words, "--why", "a test", "--dry-run", *signer)
        assert result.exit_code == 1, result.output
        assert why in result.stderr


async def test_votes_are_not_delegated(shell: Shell) -> None:
    await join(shell)
    result = await shell.run("gov", "delegate", "--to", BOB.address, "--keystore", shell.keystore(ALICE), "--yes")
    assert result.exit_code == 4
    assert "votes follow the stake" in result.stderr


async def test_the_brake_is_tripped_by_stake_and_released_by_it(shell: Shell) -> None:
    await join(shell)
    await shell.pass_time(2)
    subject = "0x" + "cd" * 20
    told = await shell.act(HOT, "brake", "trip", "--subject", subject)
    assert any("100 % of all" in effect for effect in told["effects"])
    stands = await shell.read("brake", "status", "--subject", subject)
    assert not stands["paused"]
    assert list(stands["subjects"].values()) == [True]

    await shell.act(ALICE, "brake", "trip", "--all")
    assert (await shell.read("brake", "status"))["paused"]
    assert "PAUSED until" in (await shell.run("brake", "status")).stdout
    await shell.act(HOT, "brake", "release")
    assert not (await shell.read("brake", "status"))["paused"]
    idle = await shell.run("brake", "release", "--keystore", shell.keystore(HOT), "--yes")
    assert idle.exit_code == 1
    stranger = await shell.run("brake", "trip", "--all", "--keystore", shell.keystore(BOB), "--yes")
    assert stranger.exit_code == 4
    assert "only operators count" in stranger.stderr
    guardian = await shell.run("brake", "trip", "--guardian", "--keystore", shell.keystore(BOB), "--yes")
    assert guardian.exit_code == 4


async def test_fees_are_explained_and_claimed_to_the_unit(shell: Shell, world: World) -> None:
    await join(shell)
    weth = world.manifest.contracts["weth"]
    chain, stream = shell.scene.chain, "0x" + shell.scene.contracts.stream.hex()
    await chain.send(BOB, weth, "deposit()", value=ETHER)
    await chain.send(BOB, weth, "transfer(address,uint256)", stream, ETHER)
    await shell.pass_time(DAY)
    before = await shell.read("rewards", "show", "--operator", ALICE.address)
    assert before["pool"] == str(ETHER)
    assert before["is_pot_due"]

    had = await chain.balance(weth, ALICE.address)
    await shell.act(BOB, "rewards", "claim", "--roll", "--operator", ALICE.address)
    assert await chain.balance(weth, ALICE.address) - had == ETHER // 7

    await shell.pass_time(DAY)
    await chain.send(BOB, stream, "roll()")
    explained = await shell.run("rewards", "explain", "--operator", ALICE.address)
    assert "(100 %)" in explained.stdout
    due = await shell.read("rewards", "show", "--operator", ALICE.address)
    assert due["claimable"] == str((ETHER - ETHER // 7) // 7)
    await shell.act(ALICE, "rewards", "claim")
    assert await chain.balance(weth, ALICE.address) - had == ETHER // 7 + (ETHER - ETHER // 7) // 7
    nothing = await shell.run("rewards", "claim", "--keystore", shell.keystore(ALICE), "--yes")
    assert nothing.exit_code == 1
