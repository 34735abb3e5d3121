"""What the demo says of the network: the chain tells of orders, the actor's record of sandwiches."""

from __future__ import annotations

from typing import Any

from devnet.accounts import account
from devnet.demo.chain_watch import Mined, SeenBlock
from devnet.demo.network_report import EXECUTED, AlertSeen, NetworkLedger, network_report
from protocol.ethereum.abi import encode
from tests.protocol_factories import hash_of
from tests.unit.test_demo_summary import manifest

OWNER = account("north-account").address
FRONT, VICTIM, BACK = (hash_of(name) for name in ("front", "victim", "back"))


def executed(order: str, key: str, paid: int) -> dict[str, Any]:
    """A network execution's log that pays north."""
    known = manifest()
    words = encode(
        ["address", "address", "uint256", "uint256", "uint256"],
        ["0x" + "11" * 20, known.token("WETH").address, 4 * paid, paid, 0],
    )
    topics = [EXECUTED, *("0x" + hash_of(name).hex() for name in (order, key)), "0x" + OWNER[2:].rjust(64, "0")]
    return {"address": known.contracts["execution_ledger"], "topics": topics, "data": "0x" + words.hex()}


def block(number: int, *logs: Any) -> SeenBlock:
    return SeenBlock(number, 1, (Mined("0x00", OWNER, True, 1, 1, list(logs)),))


def alert(evidence: bytes, *operators: str) -> list[AlertSeen]:
    return [AlertSeen(hash_of("alert"), evidence, operator, True) for operator in operators]


def test_orders_are_counted_by_the_chain_and_answers_by_the_ledgers() -> None:
    ledgers = {
        "north": NetworkLedger(given={"accept": 2, "decline": 1}, backups=frozenset({hash_of("second")})),
        "east": NetworkLedger(given={"accept": 1}),
    }
    blocks = [block(1, executed("first", "key", 10**18), executed("again", "key", 10**18))]
    blocks.append(block(2, executed("second", "another key", 10**18)))

    report = network_report(manifest(), blocks, ledgers, [])

    assert (report.orders_given, report.orders_accepted) == (4, 3)
    assert report.answers == {"accept": 3, "decline": 1}
    assert (report.executed, report.executed_by_backup, report.doubled) == (3, 1, 1)
    price = manifest().token("WETH").usd_price_e8 / 10**8
    assert report.paid_to_finders_usd == 3 * price
    assert report.paid_by_finder_usd == {"north": 3 * price}


def test_sandwiches_count_where_enough_nodes_told_them_and_others_are_false() -> None:
    true, false = (hash_of("block") + front + VICTIM + BACK for front in (FRONT, hash_of("nobody")))
    ledgers = {
        "north": NetworkLedger(alerts=[*alert(true, "a", "b"), *alert(false, "a"), *alert(b"short", "a")]),
        "east": NetworkLedger(alerts=alert(true, "c")),
    }
    truth = [
        {"block": number, "front": "0x" + front.hex(), "back": "0x" + BACK.hex()}
        for number, front in ((1, FRONT), (1, hash_of("missed")), (9, hash_of("outside")))
    ]

    report = network_report(manifest(), [block(1)], ledgers, truth)

    assert (report.sandwiches, report.sandwiches_alerted) == (2, 1)
    assert (report.alerts, report.alerts_false) == (2, 1)
