"""`python -m node.sentry --config FILE`: runs the sentry of a node, as its supervisor starts it (`node.process`).

`python -m node.sentry SETTINGS` takes the settings themselves, as a JSON file, and no supervisor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec
import trio

from node.config import Config
from node.config_file import load_config
from node.errors import NodeError, SetupError
from node.process import EXIT_FAILED, EXIT_SETUP, READY, start_logging
from node.sentry.app import SentryApp, Wiring
from node.sentry.host import SentrySettings, load_identity
from node.sentry.peers import PeerBook
from protocol.signing import Domain
from protocol.units import ChainId, address_from_hex, address_to_hex

_PIPE_BYTES: Final = 4_096
_LOG: Final = logging.getLogger("hftnode.sentry")


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the supervisor tells: paths, the protocol's domain, where to listen, whom to dial."""

    engine: str
    identity: str
    book: str
    chain_id: int
    registry: str
    listen: list[str]
    bootstrap: list[str] = []
    announce: list[str] = []
    private_peers: bool = False


def wire(file: SettingsFile) -> SentryApp:
    """Return the process that a settings file describes."""
    return SentryApp(
        Wiring(
            settings=SentrySettings(
                listen=tuple(file.listen),
                bootstrap=tuple(file.bootstrap),
                announce=tuple(file.announce),
                private_peers=file.private_peers,
            ),
            domain=Domain(ChainId(file.chain_id), address_from_hex(file.registry)),
            identity=load_identity(Path(file.identity)),
            book=PeerBook(Path(file.book)),
            engine=Path(file.engine),
        )
    )


def settings_of(config: Config) -> SettingsFile:
    """Return what a node's configuration says of its sentry. Raises SetupError where it has none."""
    network = config.network
    if network is None:
        raise SetupError("the configuration has no [network]: there is nothing to be a sentry of")
    return SettingsFile(
        engine=str(config.engine_socket),
        identity=str(network.identity),
        book=str(config.peer_book),
        chain_id=config.chain.id,
        registry=address_to_hex(network.staking),
        listen=list(network.listen),
        bootstrap=list(network.bootstrap),
        announce=list(network.announce),
        private_peers=network.private_peers,
    )


async def main(file: SettingsFile, *, supervised: bool = False) -> None:
    """Run until SIGTERM, SIGINT or the engine's word, or the supervisor's end."""
    app = wire(file)
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            nursery.start_soon(_until_over, app, nursery)
            if supervised:
                nursery.start_soon(_until_alone, nursery)
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def _until_over(app: SentryApp, nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as parts:
        await parts.start(app.run)
        with contextlib.suppress(OSError):  # nobody reads it: a supervisor that is gone is told of by stdin, too
            os.write(1, f"{READY} peer={app.host.id}\n".encode())
    nursery.cancel_scope.cancel()


async def _until_alone(nursery: trio.Nursery) -> None:
    """End when stdin does: the supervisor is gone, however it died."""
    async with trio.lowlevel.FdStream(os.dup(0)) as pipe:
        while await pipe.receive_some(_PIPE_BYTES):
            pass
    nursery.cancel_scope.cancel()


def _supervised(words: list[str]) -> None:
    """Run as a node's process, with the exit codes of `node.process`."""
    start_logging("sentry")
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)  # its own chatter is left out of the log
    try:
        trio.run(lambda: main(settings_of(load_config(Path(words[1]), os.environ)), supervised=True))
    except SetupError as error:
        _LOG.critical("%s", error)
        sys.exit(EXIT_SETUP)
    except NodeError as error:
        _LOG.critical("%s", error)
        sys.exit(EXIT_FAILED)


def _by_settings(path: Path) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    trio.run(main, msgspec.json.decode(path.read_bytes(), type=SettingsFile))


if __name__ == "__main__":
    if sys.argv[1] == "--config":
        _supervised(sys.argv[1:])
    else:
        _by_settings(Path(sys.argv[1]))
