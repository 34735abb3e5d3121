"""What the engine tells of itself, the keys that it reads, and the lenders that it asks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from node.config import Config, LenderConfig, VaultConfig
from node.engine.feed import FeedStatus
from node.engine.keys import signers_of
from node.engine.lending import LenderUnusable, read_lenders
from node.engine.spool import Spool
from node.engine.status import StatusTeller, percentiles_us
from node.engine.treasury import Treasury
from node.keyfile import KeystoreError, Password, PasswordUnusable, write_keystore
from node.pipeline.plans import LenderKind
from node.pipeline.prices import ReferencePrice
from node.pipeline.reasons import Reason
from protocol.ethereum.abi import selector
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BasisPoints, BlockNumber, Wei, address_to_hex
from tests.config_factories import config_in, numbered
from tests.fake_chain_node import FakeNode, endpoints_to
from tests.unit.test_engine_core import Scene
from tests.vault_stand_in import MODULE, SENDER, TOKEN

PASSWORD = Password("correct horse battery staple")
NOW_NS = 1_800_000_000 * 10**9


def feed_status(**changes: Any) -> FeedStatus:
    fields: dict[str, Any] = {
        "phase": "running",
        "head_number": 7,
        "head_timestamp": NOW_NS // 10**9 - 3,
        "tokens_trusted": 5,
        "tokens_refused": 2,
        "rpcs": {"http://alice:8545": "ok"},
        "pending_seen": 9,
        "pending_read": 4,
        "counts": {},
    }
    return FeedStatus(**{**fields, **changes})


def teller(scene: Scene, folder: Path, **feed: Any) -> StatusTeller:
    treasury = Treasury(endpoints_to([FakeNode()]), [], [])
    treasury.balances[SENDER] = Wei(10**30)
    spool, relays = Spool(folder / "spool"), SimpleNamespace(states={"swift": "ok"})
    status: Any = SimpleNamespace(status=feed_status(**feed))
    simulations = {"by_node": 3}
    return StatusTeller(
        config_in(folder),
        scene.core,
        status,
        relays,  # type: ignore[arg-type]
        treasury,
        spool,
        None,
        simulations,
        lambda: NOW_NS,
    )


async def test_the_status_has_the_words_of_all_parts(tmp_path: Path) -> None:
    scene = Scene()
    scene.core.state.count(Reason.NOT_A_SWAP, 3)
    scene.core.counts.update({"pending_unsimulated": 1, "unrecorded": 2, "plans_late": 9, "bundles_sent": 4})
    scene.core.latencies_ns.extend([1_000, 3_000, 2_000])
    tell = teller(scene, tmp_path)
    tell.is_warm = True
    told = tell()
    assert (told.phase, told.mode, told.head_number, told.head_age_ms) == ("running", "live", 7, 3_000)
    assert told.dropped == {"not_a_swap": 3, "pending_unsimulated": 1, "unrecorded": 2}
    assert told.pending_simulated == {"by_node": 3}
    assert told.loans == {"unjudged": 0, "not_weighed": 0}
    assert told.tick_to_bundle_us == {"p50": 2, "p99": 2, "max": 3}
    assert told.hot_keys == {address_to_hex(SENDER): str(10**30)}
    assert (told.bundles_sent, told.spooled, told.relays) == (4, 0, {"swift": "ok"})
    assert (told.pending_seen, told.pending_read) == (9, 4)
    assert told.pools == len(scene.core.state.market.specs) > 0


async def test_a_profit_token_whose_price_our_pools_do_not_tell_is_named_once_the_node_runs(tmp_path: Path) -> None:
    scene = Scene()
    state = scene.core.state
    _, *others = [token.address for token in state.settings.profit_tokens]
    state.search.set_prices([ReferencePrice(1, 1, BasisPoints(0), BlockNumber(7))] + [None] * len(others), Wei(0))
    tell = teller(scene, tmp_path)
    assert others
    assert not tell().tokens_unpriced
    tell.is_warm = True
    assert tell().tokens_unpriced == [address_to_hex(token) for token in others]


@pytest.mark.parametrize(
    ("warm", "phase", "told"),
    [(False, "running", "warming up"), (False, "starting", "starting"), (True, "behind", "behind")],
)
async def test_until_it_is_warm_it_says_so(tmp_path: Path, warm: bool, phase: str, told: str) -> None:
    tell = teller(Scene(), tmp_path, phase=phase, head_timestamp=0)
    tell.is_warm = warm
    assert (tell().phase, tell().head_age_ms) == (told, 0)


def test_without_bundles_there_are_no_latencies() -> None:
    assert percentiles_us([]) == {}
    assert percentiles_us([5_000]) == {"p50": 5, "p99": 5, "max": 5}


# Keys


def with_vaults(folder: Path, *names: str) -> Config:
    config = config_in(folder)
    vaults = []
    for number, name in enumerate(names):
        path = folder / f"{number}.json"
        write_keystore(path, keccak256(name.encode()), PASSWORD, 2)
        vaults.append(VaultConfig(safe=numbered(number), keystore=path))
    execution = msgspec.structs.replace(config.execution, vaults=tuple(vaults))
    return msgspec.structs.replace(config, execution=execution)


def test_there_is_a_signer_for_each_vault_in_their_order(tmp_path: Path) -> None:
    signers = signers_of(with_vaults(tmp_path, "alice", "bob"), PASSWORD)
    assert [signer.address for signer in signers.values()] == list(signers)
    assert len(signers) == 2


def test_two_vaults_with_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"1\.json: each needs one of its own"):
        signers_of(with_vaults(tmp_path, "alice", "alice"), PASSWORD)


def test_without_a_password_there_are_no_signers(tmp_path: Path) -> None:
    with pytest.raises(PasswordUnusable):
        signers_of(with_vaults(tmp_path, "alice"), None)


# Lenders

COLLECTOR, HOLDER, POOL = numbered(0xC0), numbered(0xA0), numbered(0x90)


def lending_node(**answers: bytes) -> FakeNode:
    """Answers eth_call by the function's name."""
    by_selector = {
        selector(signature).hex(): answers.get(name, default)
        for name, signature, default in (
            ("collector", "getProtocolFeesCollector()", COLLECTOR.rjust(32, b"\0")),
            ("fee", "getFlashLoanFeePercentage()", (9 * 10**14 + 1).to_bytes(32, "big")),
            ("premium", "FLASHLOAN_PREMIUM_TOTAL()", (5).to_bytes(32, "big")),
            ("reserve", "getReserveData(address)", bytes(8 * 32) + HOLDER.rjust(32, b"\0") + bytes(6 * 32)),
        )
    }
    return FakeNode(eth_call=lambda request, at: "0x" + by_selector[request["data"][2:10]].hex())


async def lenders(node: FakeNode) -> list[tuple[Any, Address]]:
    configured = [
        LenderConfig(kind=LenderKind.BALANCER_V2, address=MODULE),
        LenderConfig(kind=LenderKind.AAVE_V3, address=POOL),
        LenderConfig(kind=LenderKind.UNISWAP_V3),
    ]
    return await read_lenders(endpoints_to([node]), configured, [TOKEN])


async def test_fees_and_holders_are_read_from_the_chain_and_rounded_up() -> None:
    (balancer, vault), (aave, holder) = await lenders(lending_node())
    assert (balancer.kind, balancer.fee_pips, vault) == (LenderKind.BALANCER_V2, 901, MODULE)
    assert (aave.kind, aave.fee_pips, holder) == (LenderKind.AAVE_V3, 500, HOLDER)


async def test_a_token_that_aave_does_not_list_is_not_lent() -> None:
    found = await lenders(lending_node(reserve=bytes(15 * 32)))
    assert [lender.kind for lender, _ in found] == [LenderKind.BALANCER_V2]


@pytest.mark.parametrize("answers", [{"collector": b""}, {"premium": b"\1"}, {"reserve": bytes(32)}])
async def test_a_lender_that_is_none_is_named(answers: dict[str, bytes]) -> None:
    with pytest.raises(LenderUnusable, match=r"^0x[0-9a-f]{40} does not answer"):
        await lenders(lending_node(**answers))
