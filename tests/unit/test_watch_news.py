"""The watchers tell each thing once, when it happens or is due, and say what is urgent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from node.desk.ledger.totals import Totals
from node.desk.metrics import metrics_page
from node.desk.status import NodeStatus
from node.desk.watch.news import LOW_GAS, News, Watched, news
from node.desk.watch.rpc import WatchFailed
from node.desk.watch.sight import ProposalSight, Sight, VaultSight
from node.desk.watch.watcher import NEWS_KEPT, Watcher, as_text
from protocol.units import (
    Address,
    BlockNumber,
    EpochNumber,
    StakeUnits,
    TokenAmount,
    UnixMilliseconds,
    UnixSeconds,
    Wei,
)
from tests.manual_clock import ManualClock

ETHER = 10**18
SAFE = "0x" + "55" * 20
VAULT = VaultSight(
    paused=False,
    operator=Address(b"\x01" * 20),
    executor=Address(b"\x02" * 20),
    bid_cap=Wei(ETHER),
    generation=1,
    gas=Wei(ETHER),
)
PROPOSAL = ProposalSight(words="set min-stake to 2,000 HFT", state="active", ends=UnixSeconds(500_000))
BEFORE = Sight(
    block=BlockNumber(1_000),
    timestamp=UnixSeconds(100_000),
    registered=True,
    hot_key=Address(b"\x01" * 20),
    active=StakeUnits(5_000 * ETHER),
    leaving=StakeUnits(0),
    ready_at=UnixSeconds(0),
    recent_loss=TokenAmount(0),
    epoch=EpochNumber(3),
    checked_in=True,
    closes_at=BlockNumber(1_050),
    turns=(),
    parameters={"min-stake": 1_000 * ETHER},
    paused_until=None,
    proposals={},
    vaults={SAFE: VAULT},
)


def later(**changes: Any) -> Sight:
    return replace(BEFORE, **({"block": BlockNumber(1_001), "timestamp": UnixSeconds(100_002)} | changes))


def vault(**changes: Any) -> Sight:
    return later(vaults={SAFE: replace(VAULT, **changes)})


@pytest.mark.parametrize(
    ("now", "about", "urgent", "said"),
    [
        (later(active=StakeUnits(4_000 * ETHER)), Watched.STAKE, False, "5,000 HFT → 4,000 HFT"),
        (later(recent_loss=TokenAmount(50 * ETHER)), Watched.SLASHING, True, "50 HFT went into escrow"),
        (later(hot_key=Address(b"\x09" * 20)), Watched.HOT_KEY, True, "→ 0x0909"),
        (later(leaving=StakeUnits(7), ready_at=UnixSeconds(100_001)), Watched.UNBONDING, False, "stake withdraw"),
        (later(turns=(BlockNumber(1_005), BlockNumber(1_060))), Watched.TURN, False, "leads 1005"),
        (later(parameters={"min-stake": 2}), Watched.PARAMETER, False, "→ 2"),
        (later(paused_until=UnixSeconds(9)), Watched.BRAKE, True, "PAUSED"),
        (vault(paused=True), Watched.VAULT, True, "PAUSED"),
        (vault(bid_cap=Wei(ETHER // 2)), Watched.VAULT, False, "1 ETH → 0.5 ETH"),
        (vault(operator=Address(bytes(20))), Watched.VAULT, True, "hot key 0x0000"),
        (vault(generation=2), Watched.VAULT, False, "tightened"),
        (vault(gas=Wei(LOW_GAS - 1)), Watched.GAS, True, "left"),
    ],
)
def test_what_changed_is_told_once(now: Sight, about: Watched, urgent: bool, said: str) -> None:
    (told,) = news(BEFORE, now)

    assert (told.about, told.urgent, told.block) == (about, urgent, 1_001)
    assert said in told.text
    still = replace(now, block=BlockNumber(1_002), timestamp=UnixSeconds(100_004))
    assert news(now, still) == []


def test_nothing_new_and_nothing_of_the_past_is_told() -> None:
    assert news(BEFORE, later()) == []
    assert news(later(), replace(BEFORE, active=StakeUnits(1))) == []


def test_a_check_in_is_due_near_its_end_done_or_missed() -> None:
    far = replace(BEFORE, checked_in=False, closes_at=BlockNumber(2_000))
    near = replace(far, block=BlockNumber(1_901))
    (due,) = news(far, near)
    assert (due.about, due.urgent) == (Watched.CHECK_IN, True)
    assert "closes in 99 blocks" in due.text
    assert news(near, replace(near, block=BlockNumber(1_902))) == []
    (done,) = news(near, replace(near, block=BlockNumber(1_903), checked_in=True))
    assert done.text == "in for epoch 4"

    closed = replace(near, block=BlockNumber(2_010))
    begun = replace(near, block=BlockNumber(2_100), epoch=EpochNumber(4), closes_at=BlockNumber(9_000))
    (missed,) = news(closed, begun)
    assert "runs without us" in missed.text


def test_a_proposal_is_told_when_it_comes_changes_and_ends_soon() -> None:
    new = later(proposals={"0x12": PROPOSAL})
    assert [each.text.rpartition(": ")[2] for each in news(BEFORE, new)] == ["active"]
    soon = replace(new, block=BlockNumber(1_900), timestamp=UnixSeconds(490_000))
    (ending,) = news(new, soon)
    assert ending.urgent
    assert "ends in 10000 s" in ending.text
    over = replace(soon, block=BlockNumber(1_950), proposals={"0x12": replace(PROPOSAL, state="succeeded")})
    assert [each.text.rpartition(": ")[2] for each in news(soon, over)] == ["succeeded"]


def test_the_release_of_the_brake_is_no_alarm() -> None:
    (told,) = news(later(paused_until=UnixSeconds(9)), replace(BEFORE, block=BlockNumber(1_002)))
    assert not told.urgent


def test_a_vault_that_was_not_seen_before_is_no_news() -> None:
    assert news(replace(BEFORE, vaults={}), later()) == []


async def test_a_watcher_counts_keeps_and_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    sights: list[Sight | None] = [BEFORE, None, None]
    sights += [later(block=BlockNumber(2_000 + n), active=StakeUnits(n)) for n in range(NEWS_KEPT + 5)]

    async def look() -> Sight:
        found = sights.pop(0)
        if found is None:
            raise WatchFailed("http://node: eth_call: TimeoutError")
        return found

    watcher = Watcher(look, ManualClock(), 2.0)
    looks = len(sights)
    for _ in range(looks):
        await watcher.look_once()

    status = watcher.status
    assert (status.looks, status.failed, status.trouble) == (looks, 2, "")
    assert len(status.news) == NEWS_KEPT
    assert status.told == {"stake": NEWS_KEPT + 5}
    assert status.news[-1] == News(about=Watched.STAKE, block=BlockNumber(2_054), text=status.news[-1].text)
    assert caplog.text.count("cannot look at the chain") == 1


def test_a_sight_is_told_in_metrics_and_json() -> None:
    told = as_text(later(proposals={"0x12": PROPOSAL}))
    assert told["active"] == str(5_000 * ETHER)
    assert told["hot_key"] == "0x" + "01" * 20

    watcher = Watcher(lambda: None, ManualClock(), 2.0)  # type: ignore[arg-type, return-value]
    status = replace(watcher.status, sight=told, told={"gas": 2})
    node = NodeStatus(
        name="north",
        mode="live",
        at=UnixMilliseconds(0),
        processes={},
        engine=None,
        engine_silent_ms=None,
        totals=Totals(),
        ledger_entries=0,
        trouble="",
        watch=status,
    )
    page = metrics_page(node).decode()
    for line in (
        "hftnode_stake_active 5000.0",
        "hftnode_brake_paused 0.0",
        "hftnode_proposals_active 1.0",
        f'hftnode_vault_gas_ether{{safe="{SAFE}"}} 1.0',
        'hftnode_watch_news_total{about="gas"} 2.0',
        'hftnode_network_parameter{parameter="min-stake"} 1e+',
    ):
        assert line in page
