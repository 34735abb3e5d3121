"""What a newcomer sees when the devnet is ready."""

from __future__ import annotations

import io

from rich.console import Console

from devnet.accounts import account
from devnet.banner import show
from devnet.manifest import Manifest, Token
from devnet.run_folder import RunRecord


def test_the_banner_names_endpoints_accounts_contracts_and_the_next_step() -> None:
    record = RunRecord(
        pid=1,
        chain_id=31337,
        seed=7,
        block_time_seconds=2.0,
        lockstep=False,
        rpc_url="http://127.0.0.1:8545/",
        ws_url="ws://127.0.0.1:8545/",
        admin_url="http://127.0.0.1:8545/admin",
        builder_urls={"swift": "http://127.0.0.1:8545/builder/swift"},
        manifest_path="manifest.json",
        log_folder="logs",
    )
    weth = Token(symbol="WETH", address="0x" + "11" * 20, decimals=18, kind="plain", usd_price_e8=1)
    manifest = Manifest(
        chain_id=31337,
        block_number=1,
        block_hash="0x00",
        block_timestamp=1,
        contracts={"weth": weth.address},
        tokens=(weth,),
        pools=(),
        feeds={},
        aggregators={},
        funded={"operator": ("operator-0",), "trader": ()},
    )
    shown = io.StringIO()
    show(Console(file=shown, width=120), record, manifest, ".venv/bin/hftnode")
    text = shown.getvalue()
    for expected in (
        "chain 31337",
        "seed 7",
        record.rpc_url,
        record.ws_url,
        record.builder_urls["swift"],
        "2 s",
        account("operator-0").address,
        weth.address,
        ".venv/bin/hftnode devnet status",
        "never send real funds",
        "Ctrl-C ends it",
    ):
        assert expected in text
