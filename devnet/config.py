"""What a devnet can be told, validated before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devnet.errors import ConfigInvalid

MINIMUM_BLOCK_TIME_SECONDS = 0.2
MAXIMUM_BLOCK_TIME_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetConfig:
    """One devnet. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8545
    block_time_seconds: float = 2.0
    seed: int = 1
    lockstep: bool = False
    participants: int = 0
    """In lockstep: so many others than the actors must have joined before the first block."""
    actors: bool = True
    actor_parameters: Path | None = None
    record_tape: Path | None = None
    """In lockstep: where the actors write what they sent for the first `tape_blocks` blocks."""
    tape_blocks: int = 0
    tape: Path | None = None
    """In lockstep: the actors send what is on this tape, and nothing else."""
    empty_blocks: int = 0
    """So many are made before anything else, for who has to begin at a certain one."""
    stop_after_blocks: int | None = None
    record: Path | None = None
    """File that gets each block as one line of JSON, for `hftnode devnet compare`."""

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.port <= 65535:
            faults.append(f"port {self.port} is not between 0 and 65535")
        if not MINIMUM_BLOCK_TIME_SECONDS <= self.block_time_seconds <= MAXIMUM_BLOCK_TIME_SECONDS:
            bounds = f"{MINIMUM_BLOCK_TIME_SECONDS} to {MAXIMUM_BLOCK_TIME_SECONDS:g} s"
            faults.append(f"block time {self.block_time_seconds} s is not within {bounds}")
        elif self.lockstep and self.block_time_seconds != int(self.block_time_seconds):
            faults.append("in lockstep the block time is the step of the chain's clock: whole seconds only")
        if self.participants < 0:
            faults.append(f"{self.participants} participants are less than none")
        if self.lockstep and not self.actors and not self.participants:
            faults.append("lockstep without actors needs at least one participant")
        if (self.record_tape is not None or self.tape is not None) and not (self.lockstep and self.actors):
            faults.append("a tape is of actors in lockstep")
        if self.record_tape is not None and (self.tape is not None or self.tape_blocks < 1):
            faults.append("a tape is recorded for at least one block, and not while another is played")
        if not 0 <= self.seed < 2**64:
            faults.append(f"seed {self.seed} is not an unsigned 64-bit integer")
        if self.stop_after_blocks is not None and self.stop_after_blocks < 1:
            faults.append("the number of blocks to stop after is below 1")
        if self.actor_parameters is not None and not self.actor_parameters.is_file():
            faults.append(f"there is no parameter file {self.actor_parameters}")
        if faults:
            raise ConfigInvalid("; ".join(faults))
