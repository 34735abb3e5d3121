"""The network's worth: two runs on one seed beside each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from devnet.demo.app import DemoOptions
from devnet.demo.chain_watch import ChainWatch, Mined, SeenBlock
from devnet.demo.ledger_reading import LedgerSummary
from devnet.demo.network_report import NetworkLedger, network_report
from devnet.demo.summary import Earned, NodeOutcome
from devnet.demo.view import summary
from devnet.demo.worth import Side, worth
from devnet.protocols.vaults import PINNED
from devnet.rpc import RpcClient
from tests.protocol_factories import hash_of
from tests.unit import test_demo_summary as scene
from tests.unit.test_demo_report import REPORT, printed
from tests.unit.test_network_report import executed

ETHER = 10**18


def side(gained: int, *logs: Any, **changes: Any) -> Side:
    """North gained so much WETH in two blocks, and told so."""
    manifest = scene.manifest()
    watch = ChainWatch(RpcClient(""), manifest, [scene.NORTH], first=101)
    watch.blocks += [SeenBlock(101, 1, (), "0x01"), SeenBlock(102, 1, (mined(*logs),) if logs else (), f"0x{gained:x}")]
    tokens = dict.fromkeys(PINNED, 0) | {"WETH": gained}
    token = manifest.token("WETH").address.lower()
    ledger = LedgerSummary(
        profit={token: gained} if gained else {}, network=NetworkLedger(given={"accept": 3, "have": 1})
    )
    node = NodeOutcome(scene.NORTH, ledger, Earned(tokens, 0, 0, 0, 0), restarts=0)
    fields: dict[str, Any] = {"watch": watch, "nodes": [node], "journal": [], "errors": [], "left_running": []}
    return Side(**(fields | changes))


def mined(*logs: Any) -> Any:
    return Mined("0x00", "0xsomebody", True, 1, 1, list(logs))


def entry(name: str, block: int, actor: str = "traders") -> dict[str, Any]:
    return {"actor": actor, "hash": hash_of(name).hex(), "block": block}


def test_each_operator_is_told_with_both_profits_and_its_orders() -> None:
    network = side(3 * ETHER, executed("order", "key", ETHER // 2), digest="digest")
    told = worth(scene.manifest(), network, side(ETHER))

    price = scene.manifest().token("WETH").usd_price_e8 / 10**8
    (north,) = told.operators
    assert (north.name, north.strangers_usd, north.network_usd) == ("north", price, 3 * price)
    assert (north.orders_given, north.orders_accepted, north.orders_executed) == (4, 3, 1)
    assert (north.paid_usd, north.executed_for_others) == (price / 2, 0)
    assert (told.strangers_usd, told.network_usd, told.difference_usd) == (price, 3 * price, 2 * price)
    assert (told.blocks, told.digest, told.faults) == (2, "digest", ())
    assert (told.strangers_last_block, told.network_last_block) == (f"0x{ETHER:x}", f"0x{3 * ETHER:x}")


def test_the_order_flow_of_both_runs_is_compared_and_searchers_are_not() -> None:
    ours = [entry("one", 101), entry("two", 102), entry("late", 103), entry("rival's", 101, "rival"), {"actor": "x"}]
    theirs = [entry("one", 102), entry("rival's", 101, "rival"), entry("another", 101)]
    told = worth(scene.manifest(), side(0, journal=ours), side(0, journal=theirs))

    assert (told.tape, told.tape_equal) == (2, 1)


def test_what_was_wrong_with_the_strangers_run_is_told() -> None:
    wrong = side(ETHER, errors=["north: an error"], left_running=["7 anvil"])
    (node,) = wrong.nodes
    nodes = [NodeOutcome(node.operator, LedgerSummary(unexplained=2), node.earned, restarts=1)]
    faults = worth(scene.manifest(), side(0), side(ETHER, nodes=nodes, errors=["north: an error"])).faults

    assert faults[0] == "north: an error"
    assert "WETH 0 booked" in faults[1]
    assert faults[2:] == ("north: 1 restarts", "north: 2 misses without a reason")
    assert worth(scene.manifest(), side(0), wrong).faults == ("north: an error", "left running: 7 anvil")


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
    told = worth(scene.manifest(), side(3 * ETHER, executed("order", "key", ETHER)), side(ETHER))
    network = network_report(scene.manifest(), [], {}, [])
    report = msgspec.structs.replace(REPORT, network=msgspec.structs.replace(network, worth=told))

    text = printed(summary(report))

    price = scene.manifest().token("WETH").usd_price_e8 / 10**8
    title, against = "The network's worth", f"${2 * price:+,.2f} against strangers"
    for part in (title, f"${price:,.2f}", f"${3 * price:,.2f}", against):
        assert part in text
    assert title not in printed(summary(REPORT))
