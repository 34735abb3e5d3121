"""What the relay is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from devnet.anvil import BLOCK_GAS_LIMIT, BLOCKS_KEPT, CHAIN_ID
from devnet.errors import ConfigInvalid
from devnet.relay.builders import DEFAULT_BUILDERS, BuilderConfig
from devnet.relay.lockstep import MAX_PARTICIPANTS
from devnet.relay.mempool_rules import MempoolLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The server's bounds. Beyond one, a call is answered with an error; a slow listener is disconnected."""

    body_bytes: int = 2_097_152
    batch_calls: int = 1000
    calls_at_once: int = 1024
    """Over all HTTP connections."""
    websockets: int = 256
    calls_per_websocket: int = 64
    """Unanswered ones; more of them wait in the socket."""
    subscriptions_per_websocket: int = 64
    messages_waiting: int = 8192
    """Per WebSocket."""
    read_seconds: float = 30.0
    """Deadline of a read from the chain."""
    read_bytes: int = 16_777_216
    """Largest answer of the chain that is passed on; some 25,000 logs."""
    hold_seconds: float = 2.0
    """For so long a read that a block overtook may keep the next block waiting."""
    hang_seconds: float = 60.0
    """For so long a fault may leave a call without an answer."""
    long_poll_seconds: float = 600.0
    stop_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """The relay's settings. Port 0 takes a free one. `seed` draws each block's builder."""

    host: str = "127.0.0.1"
    port: int = 0
    chain_id: int = CHAIN_ID
    """Checked against the chain at the start."""
    block_time_seconds: float = 2.0
    """Below a second the chain's time runs ahead of the clock: timestamps rise by at least one."""
    gas_limit: int = BLOCK_GAS_LIMIT
    blocks_kept: int = BLOCKS_KEPT
    """As many as Anvil is told to keep: logs of earlier ones are refused, where Anvil would tell of none."""
    seed: int = 0
    builders: tuple[BuilderConfig, ...] = DEFAULT_BUILDERS
    lockstep: bool = False
    lockstep_participants: int = 1
    """So many must have joined before the first block."""
    lockstep_seconds: float = 60.0
    """Real time in which a participant must pass a barrier."""
    mempool: MempoolLimits = field(default_factory=MempoolLimits)
    server: ServerLimits = field(default_factory=ServerLimits)

    def __post_init__(self) -> None:
        wrong = []
        if not 0.05 <= self.block_time_seconds <= 3600:
            wrong.append(f"block time must be 0.05 to 3600 seconds, not {self.block_time_seconds:g}")
        elif self.lockstep and self.block_time_seconds != int(self.block_time_seconds):
            wrong.append(f"in lockstep the block time is a whole number of seconds, not {self.block_time_seconds:g}")
        if not self.builders:
            wrong.append("at least one builder is needed")
        if len({builder.name for builder in self.builders}) != len(self.builders):
            wrong.append("two builders have one name")
        if not 1 <= self.lockstep_participants <= MAX_PARTICIPANTS:
            wrong.append(f"lockstep has 1 to {MAX_PARTICIPANTS} participants, not {self.lockstep_participants}")
        if not 0 <= self.port <= 65535:
            wrong.append(f"there is no port {self.port}")
        if wrong:
            raise ConfigInvalid("; ".join(wrong))
