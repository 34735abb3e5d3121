"""The network's worth: two runs on one seed beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from devnet.actors.tape import Tape, TapedBlock, TapedBundle, TapedTransaction
from devnet.demo.app import DemoOptions
from devnet.demo.chain_watch import ChainWatch, Mined, SeenBlock
from devnet.demo.ledger_reading import LedgerSummary
from devnet.demo.network_report import NetworkLedger, TapePlayed, network_report
from devnet.demo.summary import Earned, NodeOutcome
from devnet.demo.view import summary
from devnet.demo.worth import Side, worth
from devnet.protocols.vaults import PINNED
from devnet.rpc import RpcClient
from tests.unit import test_demo_summary as scene
from tests.unit.test_demo_report import REPORT, printed
from tests.unit.test_network_report import executed

ETHER = 10**18


def side(gained: int, *logs: Any, in_block: Sequence[Any] = (), **changes: Any) -> Side:
    """North gained so much WETH in two blocks, and told so."""
    manifest = scene.manifest()
    watch = ChainWatch(RpcClient(""), manifest, [scene.NORTH], first=101)
    watch.blocks += [
        SeenBlock(101, 1, tuple(in_block), "0x01"),
        SeenBlock(102, 1, (mined(*logs),) if logs else (), f"0x{gained:x}"),
    ]
    tokens = dict.fromkeys(PINNED, 0) | {"WETH": gained}
    token = manifest.token("WETH").address.lower()
    ledger = LedgerSummary(
        profit={token: gained} if gained else {}, network=NetworkLedger(given={"accept": 3, "have": 1})
    )
    node = NodeOutcome(scene.NORTH, ledger, Earned(tokens, 0, 0, 0, 0), restarts=0)
    fields: dict[str, Any] = {"watch": watch, "nodes": [node], "journal": [], "errors": [], "left_running": []}
    return Side(**(fields | changes))


def mined(*logs: Any, hash_: str = "0x00", succeeded: bool = True) -> Any:
    return Mined(hash_, "0xsomebody", succeeded, 1, 1, list(logs))


def taped(*names: str, bundled: str = "") -> Tape:
    """A tape of two blocks: everything is sent for the first."""
    one = [transaction(name) for name in names]
    bundles = [TapedBundle(actor="rival", action="cycle", raws=(b"",), own=(transaction(bundled),))] if bundled else []
    return Tape(
        chain_id=31337,
        seed=5,
        blocks=(
            TapedBlock(number=101, transactions=tuple(one), bundles=tuple(bundles)),
            TapedBlock(number=102, transactions=(), bundles=()),
        ),
    )


def transaction(name: str) -> TapedTransaction:
    return TapedTransaction(actor="traders", action="swap", account="trader-0", nonce=0, raw=name.encode())


def test_each_operator_is_told_with_both_profits_and_its_orders() -> None:
    network = side(3 * ETHER, executed("order", "key", ETHER // 2), digest="digest")
    told = worth(scene.manifest(), network, side(ETHER), taped())

    price = scene.manifest().token("WETH").usd_price_e8 / 10**8
    (north,) = told.operators
    assert (north.name, north.strangers_usd, north.network_usd) == ("north", price, 3 * price)
    assert (north.orders_given, north.orders_accepted, north.orders_executed) == (4, 3, 1)
    assert (north.paid_usd, north.executed_for_others) == (price / 2, 0)
    assert (told.strangers_usd, told.network_usd, told.difference_usd) == (price, 3 * price, 2 * price)
    assert (told.blocks, told.digest, told.faults) == (2, "digest", ())
    assert (told.strangers_last_block, told.network_last_block) == (f"0x{ETHER:x}", f"0x{3 * ETHER:x}")


def test_what_was_sent_is_held_against_the_tape_and_what_landed_is_told_by_the_chain() -> None:
    tape = taped("one", "two", "three", bundled="four")
    one, two, three, four = (each for _, each in tape.sent(102))
    sent = [{"block": 101, "actor": "traders", "sent": [one, two, three, four]}]
    alone = side(0, journal=sent, in_block=[mined(hash_=one), mined(hash_=two, succeeded=False)])
    together = side(0, journal=[*sent, {"block": 101, "actor": "x", "sent": ["0xother"]}], in_block=[mined(hash_=four)])
    told = worth(scene.manifest(), together, alone, tape)

    assert told.tape == 4
    assert told.strangers_played == TapePlayed(equal=4, landed=1, reverted=1)
    assert told.network_played == TapePlayed(equal=4, landed=1, reverted=0)
    assert told.faults == ()


def test_a_run_that_was_not_given_the_whole_tape_is_no_comparison() -> None:
    tape = taped("one", "two")
    one, two = (each for _, each in tape.sent(102))
    whole = [{"block": 101, "actor": "traders", "sent": [one, two]}]
    late = [{"block": 101, "actor": "traders", "sent": [one]}, {"block": 102, "actor": "traders", "sent": [two]}]
    told = worth(scene.manifest(), side(0, journal=late), side(0, journal=whole), tape)
    assert told.faults == ("network: 1 of 2 transactions of the tape were sent",)

    short = msgspec.structs.replace(tape, blocks=tape.blocks[:1])
    told = worth(scene.manifest(), side(0, journal=whole), side(0, journal=whole), short)
    assert told.faults == ("the tape has blocks 101 to 101, the runs 101 to 102",)


def test_what_was_wrong_with_the_strangers_run_is_told() -> None:
    wrong = side(ETHER, errors=["north: an error"], left_running=["7 anvil"])
    (node,) = wrong.nodes
    nodes = [NodeOutcome(node.operator, LedgerSummary(unexplained=2), node.earned, restarts=1)]
    faults = worth(scene.manifest(), side(0), side(ETHER, nodes=nodes, errors=["north: an error"]), taped()).faults

    assert faults[0] == "north: an error"
    assert "WETH 0 booked" in faults[1]
    assert faults[2:] == ("north: 1 restarts", "north: 2 misses without a reason")
    assert worth(scene.manifest(), side(0), wrong, taped()).faults == ("north: an error", "left running: 7 anvil")


@pytest.mark.parametrize(
    ("options", "is_network", "blocks"),
    [
        (DemoOptions(nodes=5), True, None),
        (DemoOptions(nodes=3), True, None),
        (DemoOptions(nodes=5, lockstep=True, duration_seconds=25), True, 13),
        (DemoOptions(nodes=5, lockstep=True, strangers=True), False, 150),
        (DemoOptions(nodes=3, lockstep=True), False, 150),
    ],
)
def test_five_in_lockstep_are_a_network_and_fewer_are_not(
    options: DemoOptions, is_network: bool, blocks: int | None
) -> None:
    assert (options.is_network, options.blocks) == (is_network, blocks)


def test_the_two_runs_are_shown_beside_each_other() -> None:
    told = worth(scene.manifest(), side(3 * ETHER, executed("order", "key", ETHER)), side(ETHER), taped())
    network = network_report(scene.manifest(), [], {}, [])
    report = msgspec.structs.replace(REPORT, network=msgspec.structs.replace(network, worth=told))

    text = printed(summary(report))

    price = scene.manifest().token("WETH").usd_price_e8 / 10**8
    title, against = "The network's worth", f"${2 * price:+,.2f} against strangers"
    assert "0 of 0 transactions equal (0 landed, 0 reverted) alone" in text
    for part in (title, f"${price:,.2f}", f"${3 * price:,.2f}", against):
        assert part in text
    assert title not in printed(summary(REPORT))
