"""Wires the actors of a devnet together and plays until told to stop.

ActorsRefused    the world, the chain or the options do not fit; the message names each fault
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from devnet.accounts import account as named_account
from devnet.actors import rival, sandwicher
from devnet.actors.cast import Cast, assemble
from devnet.actors.gateway import Gateway
from devnet.actors.journal import ACTORS, SANDWICHES, Journal
from devnet.actors.market import WETH, Market
from devnet.actors.outcomes import Outcomes
from devnet.actors.parameters import Parameters
from devnet.actors.playback import Playback
from devnet.actors.reading import StateReader
from devnet.actors.session import Session, SessionConfig
from devnet.actors.tape import read_tape
from devnet.actors.taping import BundleNonces, TapeRecorder
from devnet.actors.wallet import Wallet
from devnet.errors import DevnetError, RpcError
from devnet.manifest import Manifest
from devnet.rpc import RpcClient

LOCAL_CHAIN_ID: Final = 31337
"""The only chain on which the actors play: its accounts' keys are public, and one of them attacks."""
_NEEDED: Final = (
    "uniswap_v2_router",
    "sushi_router",
    "uniswap_v3_router",
    "uniswap_v3_position_manager",
    "balancer_vault",
    "aave_pool",
    "multicall3",
    rival.EXECUTOR,
    sandwicher.EXECUTOR,
)


class ActorsRefused(DevnetError):
    """The world, the chain or the options do not fit."""


@dataclass(frozen=True, slots=True)
class RecordTape:
    """Play in lockstep and write what was sent for the first `blocks` blocks; `chain_url` is Anvil's own."""

    path: Path
    blocks: int
    chain_url: str


@dataclass(frozen=True, slots=True)
class PlayTape:
    """Send in lockstep what is on a tape, and nothing else."""

    path: Path
    chain_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorsOptions:
    """Everything from outside. `builders`: name to URL of its relay endpoint."""

    url: str
    websocket_url: str
    builders: Mapping[str, str]
    seed: int
    lockstep: bool
    block_seconds: float
    log_folder: Path
    tape: RecordTape | PlayTape | None = None


def load_manifest(path: Path) -> Manifest:
    """Read a world's manifest. Raises `ActorsRefused`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ActorsRefused(f"{path} cannot be read: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise ActorsRefused(f"{path} is not a manifest: {error}") from error


def check_manifest(manifest: Manifest) -> None:
    """Raise `ActorsRefused` with everything that the actors miss in the world."""
    faults = [f"has no contract {name}" for name in _NEEDED if name not in manifest.contracts]
    if manifest.chain_id != LOCAL_CHAIN_ID:
        faults.append(f"is of chain {manifest.chain_id}: the actors play on a local devnet ({LOCAL_CHAIN_ID}) only")
    if all(token.symbol != WETH for token in manifest.tokens):
        faults.append(f"has no token {WETH}")
    if faults:
        raise ActorsRefused("\n".join(f"the world {fault}" for fault in faults))


async def play(manifest: Manifest, parameters: Parameters, options: ActorsOptions) -> None:
    """Play until cancelled. Raises `ActorsRefused`, and in lockstep `ChainFailed` or `RpcError`."""
    check_manifest(manifest)
    if options.tape is not None and not options.lockstep:
        raise ActorsRefused("a tape is recorded and played in lockstep only")
    async with AsyncExitStack() as open_parts:
        rpc = await open_parts.enter_async_context(RpcClient(options.url))
        gateway = await open_parts.enter_async_context(
            Gateway(options.url, options.builders, lockstep=options.lockstep)
        )
        session = await wire(manifest, parameters, options, rpc, gateway, open_parts)
        await session.run()


async def wire(
    manifest: Manifest,
    parameters: Parameters,
    options: ActorsOptions,
    rpc: RpcClient,
    gateway: Gateway,
    open_parts: AsyncExitStack,
) -> Session | Playback:
    """Check the chain and put a session together, or a tape's playback; what has to be closed goes on `open_parts`."""
    chain_id = int(await rpc.call("eth_chainId"), 16)
    if chain_id != manifest.chain_id:
        raise ActorsRefused(f"{options.url} is chain {chain_id}, the world is of chain {manifest.chain_id}")
    market = Market(manifest)
    cast = assemble(market, parameters, options.block_seconds)
    reader = StateReader(
        rpc,
        market,
        cast.holdings,
        providers=cast.providers,
        borrowers=cast.borrowers,
        maximum_positions=parameters.providers.maximum_positions,
    )
    await reader.start()
    wallet = Wallet(chain_id, await _nonces(rpc, cast))
    journal = Journal(options.log_folder / ACTORS)
    sandwiches = Journal(options.log_folder / SANDWICHES)
    open_parts.callback(journal.close)
    open_parts.callback(sandwiches.close)
    outcomes = Outcomes(market, wallet, journal, sandwiches)
    recorder = None
    if options.tape is not None:
        nonces = BundleNonces(await open_parts.enter_async_context(RpcClient(options.tape.chain_url)))
        if isinstance(options.tape, PlayTape):
            tape = read_tape(options.tape.path)
            if tape.chain_id != chain_id:
                raise ActorsRefused(f"{options.tape.path} is a tape of chain {tape.chain_id}, not {chain_id}")
            return Playback(
                tape=tape,
                websocket_url=options.websocket_url,
                rpc=rpc,
                gateway=gateway,
                nonces=nonces,
                wallet=wallet,
                outcomes=outcomes,
                journal=journal,
            )
        wanted = options.tape
        recorder = TapeRecorder(wanted.path, wanted.blocks, chain_id=chain_id, seed=options.seed, nonces=nonces)
    return Session(
        config=SessionConfig(
            seed=options.seed,
            websocket_url=options.websocket_url,
            lockstep=options.lockstep,
            block_seconds=options.block_seconds,
            moments={
                rival.Rival.name: parameters.rival.acts_at,
                sandwicher.Sandwicher.name: parameters.sandwicher.acts_at,
            },
        ),
        rpc=rpc,
        gateway=gateway,
        market=market,
        parameters=parameters,
        cast=cast,
        reader=reader,
        wallet=wallet,
        outcomes=outcomes,
        recorder=recorder,
    )


async def _nonces(rpc: RpcClient, cast: Cast) -> dict[str, int]:
    """Where every account stands. What an earlier run left in the mempool is built upon."""
    calls = [("eth_getTransactionCount", [named_account(name).address, "pending"]) for name in cast.accounts]
    nonces: dict[str, int] = {}
    for name, answer in zip(cast.accounts, await rpc.batch(calls), strict=True):
        if isinstance(answer, RpcError):
            raise answer
        nonces[name] = int(answer, 16)
    return nonces
