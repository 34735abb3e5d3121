"""`python -m node.sentry SETTINGS`: runs the sentry of the node whose supervisor wrote that JSON file."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import msgspec
import trio

from node.sentry.app import SentryApp, Wiring
from node.sentry.host import SentrySettings, load_identity
from node.sentry.peers import PeerBook
from protocol.signing import Domain
from protocol.units import ChainId, address_from_hex


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the supervisor tells: paths, the protocol's domain, where to listen, whom to dial."""

    engine: str
    identity: str
    book: str
    chain_id: int
    registry: str
    listen: list[str]
    bootstrap: list[str] = []


def wire(file: SettingsFile) -> SentryApp:
    """Return the process that a settings file describes."""
    return SentryApp(
        Wiring(
            settings=SentrySettings(listen=tuple(file.listen), bootstrap=tuple(file.bootstrap)),
            domain=Domain(ChainId(file.chain_id), address_from_hex(file.registry)),
            identity=load_identity(Path(file.identity)),
            book=PeerBook(Path(file.book)),
            engine=Path(file.engine),
        )
    )


async def main(file: SettingsFile) -> None:
    """Run until SIGTERM, SIGINT or the engine's word; libp2p's own chatter is left out of the log."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    app = wire(file)
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            nursery.start_soon(_until_over, app, nursery)
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def _until_over(app: SentryApp, nursery: trio.Nursery) -> None:
    await app.run()
    nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=SettingsFile))
