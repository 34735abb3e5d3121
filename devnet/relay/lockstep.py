"""Lockstep: the next block is built when every participant has passed the barriers of this one. A pure state machine.

Its rules:
1. A block has stages (0: order flow, 1: searchers). One stage is open at a time; what arrives for it is held.
2. When all participants of the open stage have passed its barrier, what was held is admitted in the order
   (participant, sequence) and the next stage opens. A stage without participants is passed at once.
3. After the last stage the block is built; then stage 0 of the next block opens.
4. Who joins after the start takes part from the next block on; who leaves or is dropped is out at once.

| phase     | event    | what happens                                               | then            |
|-----------|----------|------------------------------------------------------------|-----------------|
| GATHERING | join     | the participant takes part; enough of them: stage 0 opens   | GATHERING, OPEN |
| OPEN      | join     | the participant waits for the next block                    | OPEN            |
| OPEN      | hold     | the arrival waits for its stage to close                    | OPEN            |
| OPEN      | barrier  | the last one closes the stage: admit, open the next, build  | OPEN, BUILDING  |
| OPEN      | deadline | who has not passed is dropped, with what it sent            | as for barrier  |
| BUILDING  | join     | the participant waits for the next block                    | BUILDING        |
| BUILDING  | built    | who waits takes part; stage 0 of the next block opens       | OPEN, GATHERING |
| any       | leave    | as if it had never joined; its barrier no longer counts     | as for barrier  |

LockstepError    the call does not fit the state; the message names the participant and says why
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from devnet.errors import DevnetError

STAGES: Final = 2
MAX_PARTICIPANTS: Final = 64
MAX_HELD: Final = 4096
"""Arrivals of one participant that wait for their stage to close."""


Place = tuple[int, int]
"""The sequence number of a participant's request, and which of its calls."""


class LockstepError(DevnetError):
    """The call does not fit the state of lockstep."""


class Phase(Enum):
    """Where a block is."""

    GATHERING = auto()
    OPEN = auto()
    BUILDING = auto()


@dataclass(frozen=True, slots=True)
class Admit:
    """These arrivals are to be admitted now, in this order."""

    arrivals: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StageOpened:
    """A stage is open."""

    block: int
    stage: int


@dataclass(frozen=True, slots=True)
class Build:
    """The block is to be built now."""

    block: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A participant is out because it did not pass in time."""

    participant: str
    reason: str


Effect = Admit | StageOpened | Build | Dropped


@dataclass(slots=True)
class _Participant:
    stage: int
    passed: bool = False
    last_place: Place = (-1, 0)
    held: dict[Place, Any] = field(default_factory=dict)


class Lockstep:
    """The state machine. Each event returns what is to be done, in order."""

    def __init__(self, next_block: int, expected: int) -> None:
        self.block = next_block
        self.stage = 0
        self.phase = Phase.GATHERING
        self._expected = expected
        self._started = False
        self._participants: dict[str, _Participant] = {}
        self._joining: dict[str, int] = {}
        self._dropped: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    @property
    def participants(self) -> tuple[str, ...]:
        """Names of those who take part, sorted."""
        return tuple(sorted(self._participants))

    def waiting_for(self) -> tuple[str, ...]:
        """Names of those whose barrier keeps the open stage open, sorted."""
        if self.phase is not Phase.OPEN:
            return ()
        return tuple(name for name in self.participants if self._holds_up(self._participants[name]))

    def join(self, name: str, stage: int, at_least: int = 1) -> list[Effect]:
        """Take in a participant. Before the start it may tell how many to wait for. Raises `LockstepError`."""
        if not 0 <= stage < STAGES:
            raise LockstepError(f"{name} cannot join stage {stage}: there are stages 0 to {STAGES - 1}")
        if name in self._participants or name in self._joining:
            raise LockstepError(f"{name} has joined already")
        if len(self._participants) + len(self._joining) >= MAX_PARTICIPANTS:
            raise LockstepError(f"{name} cannot join: there are {MAX_PARTICIPANTS} participants already")
        if not 1 <= at_least <= MAX_PARTICIPANTS:
            raise LockstepError(f"{name} cannot wait for {at_least} participants: 1 to {MAX_PARTICIPANTS} are possible")
        if not self._started:
            self._expected = max(self._expected, at_least)
        self._dropped.pop(name, None)
        self._joining[name] = stage
        return self._start() if self.phase is Phase.GATHERING else []

    def leave(self, name: str) -> list[Effect]:
        """Let a participant go, with what it sent for the open stage. Raises `LockstepError`."""
        if self._joining.pop(name, None) is not None:
            return []
        self.counts["arrivals_discarded"] += len(self._known(name).held)
        del self._participants[name]
        return self._advance()

    def hold(self, name: str, place: Place, arrival: Any) -> None:
        """Keep an arrival until its stage closes. Raises `LockstepError`."""
        participant = self._known(name)
        self._check_open(name, participant, self.block)
        if place <= participant.last_place or place in participant.held:
            raise LockstepError(f"{name} has used sequence {place[0]} already, or passed it")
        if len(participant.held) >= MAX_HELD:
            raise LockstepError(f"{name} has {MAX_HELD} arrivals waiting: pass the barrier first")
        participant.held[place] = arrival

    def barrier(self, name: str, block: int, stage: int) -> list[Effect]:
        """Note that a participant is done with the open stage. Raises `LockstepError`."""
        participant = self._known(name)
        if stage != participant.stage:
            raise LockstepError(f"{name} has joined stage {participant.stage}, not {stage}")
        self._check_open(name, participant, block)
        participant.passed = True
        return self._advance()

    def deadline(self, seconds: float) -> list[Effect]:
        """Drop whoever holds up the open stage; `seconds` is told in the reason."""
        effects: list[Effect] = []
        for name in self.waiting_for():
            reason = f"{name} was dropped: it did not pass stage {self.stage} of block {self.block} in {seconds:g} s"
            self.counts["participants_dropped"] += 1
            self.counts["arrivals_discarded"] += len(self._participants[name].held)
            del self._participants[name]
            if len(self._dropped) < MAX_PARTICIPANTS:
                self._dropped[name] = reason
            effects.append(Dropped(name, reason))
        return effects + self._advance()

    def built(self) -> list[Effect]:
        """Go on to the next block after the one that was asked for is published."""
        if self.phase is not Phase.BUILDING:
            raise LockstepError(f"block {self.block} was not to be built yet")
        self.block += 1
        self.phase = Phase.GATHERING
        return self._start()

    def _start(self) -> list[Effect]:
        if len(self._participants) + len(self._joining) < self._expected:
            return []
        self._expected, self._started = 1, True  # only the first start waits for all
        for name, stage in self._joining.items():
            self._participants[name] = _Participant(stage)
        self._joining.clear()
        return self._open(0)

    def _open(self, stage: int) -> list[Effect]:
        self.phase = Phase.OPEN
        self.stage = stage
        for participant in self._participants.values():
            participant.passed = False
        return [StageOpened(self.block, stage), *self._advance()]

    def _advance(self) -> list[Effect]:
        """Close the open stage if nobody holds it up any more."""
        if self.phase is not Phase.OPEN:
            return []
        if not self._participants:
            self.phase = Phase.GATHERING
            return self._start() if self._joining else []
        if self.waiting_for():
            return []
        admit = Admit(tuple(self._take_held()))
        if self.stage + 1 < STAGES:
            return [admit, *self._open(self.stage + 1)]
        self.phase = Phase.BUILDING
        return [admit, Build(self.block)]

    def _take_held(self) -> list[Any]:
        taken: list[Any] = []
        for name in self.participants:
            participant = self._participants[name]
            for place in sorted(participant.held):
                taken.append(participant.held[place])
                participant.last_place = place
            participant.held.clear()
        return taken

    def _holds_up(self, participant: _Participant) -> bool:
        return participant.stage == self.stage and not participant.passed

    def _known(self, name: str) -> _Participant:
        participant = self._participants.get(name)
        if participant is not None:
            return participant
        if name in self._joining:
            raise LockstepError(f"{name} takes part from the next block on: await its stage")
        raise LockstepError(self._dropped.get(name, f"{name} has not joined: call devnet_join first"))

    def _check_open(self, name: str, participant: _Participant, block: int) -> None:
        if self.phase is not Phase.OPEN or block != self.block or participant.stage != self.stage:
            raise LockstepError(
                f"stage {participant.stage} of block {block} is not open for {name}: "
                f"block {self.block} is at stage {self.stage}"
            )
        if participant.passed:
            raise LockstepError(f"{name} has passed stage {self.stage} of block {self.block} already")
