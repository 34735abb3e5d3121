"""`scripts/mutants`: changes the contracts' checks and accounting line by line, and sees a test fail each time.

`scripts/mutations.py` says what a mutant is. All of them are compiled at once, in a copy of contracts/, where each is a
branch that forge is told from outside to take (`block.prevrandao`). So a mutant costs the running of tests, not a
compilation: first of those of its own source, which mostly suffice, then of all unit tests that could see it.
Invariants are not among them: what only a random run notices deserves a test of its own.

A mutant that no test notices has survived; one under which the tests do not end has timed out, which is no notice
either. Both are explained in `contracts/mutants.toml`: one that is not is a failure, and so is an explanation whose
mutant is gone or killed by now. What was found is kept (`scripts/mutant_record.py`): the next run goes on from there.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from devnet.errors import DevnetError
from devnet.home import Home
from devnet.storage import exclusive_lock
from scripts.forge import PROJECT, Forge, prepare
from scripts.mutant_bench import SOURCES, Bench, believed, check_unchanged, judge_one, unchanged
from scripts.mutant_record import Record, Verdict, read_all
from scripts.mutations import Mutant, mutants_of

EXPLANATIONS: Final = PROJECT / "mutants.toml"
SECONDS: Final = 10_800.0
"""All of one run; mutants that it does not come to are a failure, and are what the next run begins with."""
_SECONDS_TO_WAIT: Final = 60.0
_WORKERS: Final = 2
_A_LINE_EVERY: Final = 20


def collect(folder: Path = PROJECT) -> list[Mutant]:
    """Return all mutants of all sources."""
    found: list[Mutant] = []
    for source in SOURCES:
        lines = (folder / "src" / f"{source}.sol").read_text().split("\n")
        found += mutants_of(source, lines, 1 + len(found))
    return found


def read_explanations(path: Path = EXPLANATIONS) -> dict[str, str]:
    """Return why each survivor may live, by the mutant's name. Raises `ValueError` for one without words."""
    explained: dict[str, str] = {}
    for entry in tomllib.loads(path.read_text()).get("explained", []):
        if not entry["why"].strip():
            raise ValueError(f"{path.name}: an explanation says nothing")
        explained |= dict.fromkeys(entry["mutants"], entry["why"])
    return explained


def differences(alive: Iterable[str], known: Iterable[str], explained: Mapping[str, str]) -> list[str]:
    """Name the mutants not killed that are not explained, and the explanations of mutants that are killed or gone."""
    living, names = set(alive), set(known)
    return [
        *(f"not explained: {name}" for name in sorted(living - explained.keys())),
        *(f"explained, and killed by now: {name}" for name in sorted((explained.keys() & names) - living)),
        *(f"explained, and no mutant: {name}" for name in sorted(explained.keys() - names)),
    ]


def judge(forge: Forge, mutants: Sequence[Mutant], record: Record) -> Iterator[tuple[Mutant, Verdict]]:
    """Yield the verdict of each mutant, source by source: what is still true from before, then what is found now.

    Ends early at `SECONDS`. Raises `ValueError` if forge fails without a failed test or a test without a mutant,
    `StorageFailed` while another process judges.
    """
    end = time.monotonic() + SECONDS
    record.forget_all_but({mutant.name for mutant in collect()} | {unchanged(tests) for tests in SOURCES.values()})
    known = {mutant.name: believed(record, mutant) for mutant in mutants}
    waiting = [mutant for mutant in mutants if known[mutant.name] is None]
    for mutant in mutants:
        if (verdict := known[mutant.name]) is not None:
            yield mutant, verdict
    if not waiting:
        return
    bench = Bench(forge, forge.build / "mutants")
    with exclusive_lock(forge.build / "mutants.lock", "judging mutants", deadline_seconds=_SECONDS_TO_WAIT):
        read_all()
        bench.lay(collect())
        check_unchanged(bench, record, {mutant.source for mutant in waiting})
        with ThreadPoolExecutor(_WORKERS) as workers:

            def verdict_of(mutant: Mutant) -> Verdict | None:
                return judge_one(bench, mutant) if time.monotonic() < end else None

            for mutant, found in zip(waiting, workers.map(verdict_of, waiting), strict=True):
                if found is not None:
                    record.put(mutant.name, found)
                    yield mutant, found


class Tally:
    """Counts verdicts by source, and says how far the run is."""

    def __init__(self, mutants: Sequence[Mutant], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` gives seconds."""
        self._of = Counter(mutant.source for mutant in mutants)
        self._outcomes: dict[str, Counter[str]] = {source: Counter() for source in self._of}
        self._clock, self._begun = clock, clock()
        self._remembered = 0
        self.alive: dict[str, Verdict] = {}

    def add(self, mutant: Mutant, verdict: Verdict, *, remembered: bool) -> str | None:
        """Count a verdict; return a line to print at times, and always when its source is done."""
        self._outcomes[mutant.source][verdict.outcome] += 1
        self._remembered += remembered
        if verdict.outcome != "killed":
            self.alive[mutant.name] = verdict
        done = self._outcomes[mutant.source].total()
        is_due = done == self._of[mutant.source] or (done % _A_LINE_EVERY == 0 and not remembered)
        return f"{self.line(mutant.source)}; {self._rest()}" if is_due else None

    def line(self, source: str) -> str:
        """What is known of one source, as a row of the table."""
        found = self._outcomes[source]
        remaining = self._of[source] - found.total()
        return (
            f"{source:<20} {self._of[source]:>4} mutants: {found['killed']:>4} killed, "
            f"{found['survived']:>3} survived, {found['timed out']:>2} timed out, {remaining:>4} remaining"
        )

    def lines(self) -> list[str]:
        """Return the table."""
        return [self.line(source) for source in self._of]

    def sums(self) -> Counter[str]:
        """Return the mutants of all sources by outcome."""
        return sum(self._outcomes.values(), Counter())

    def remaining(self) -> int:
        """How many mutants have no verdict yet."""
        return self._of.total() - self.sums().total()

    def _rest(self) -> str:
        judged = self.sums().total() - self._remembered
        if not self.remaining() or not judged:
            return f"{self.remaining()} of all remain"
        seconds = (self._clock() - self._begun) / judged * self.remaining()
        return f"{self.remaining()} of all remain, about {seconds / 60:.0f} min"


def main(words: Sequence[str]) -> int:
    """Judge the mutants of the named sources, or of all; return 1 for a difference to what is explained."""
    known = collect()
    chosen = [mutant for mutant in known if not words or mutant.source in words]
    unknown = set(words) - SOURCES.keys()
    if unknown:
        print(f"no source is called {' or '.join(sorted(unknown))}; there are {', '.join(SOURCES)}", file=sys.stderr)
        return 2
    try:
        explained = read_explanations()
        forge = asyncio.run(prepare(Home.from_environment(), lambda line: print(line, file=sys.stderr)))
        tally = run(forge, chosen, explained, lambda line: print(line, flush=True))
    except (DevnetError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    about = {name: why for name, why in explained.items() if not words or name.split(".")[0] in words}
    wrong = differences(tally.alive, [mutant.name for mutant in chosen], about)
    print(*tally.lines(), *wrong, sep="\n")
    sums = tally.sums()
    print(
        f"{len(chosen)} mutants, {sums['killed']} killed, {sums['survived']} survived and {sums['timed out']} timed out"
        f" ({len(wrong)} differences to what is explained), {tally.remaining()} not come to"
    )
    return 1 if wrong or tally.remaining() else 0


def run(forge: Forge, mutants: Sequence[Mutant], explained: Mapping[str, str], say: Callable[[str], None]) -> Tally:
    """Judge these mutants and say how far it is, and at once what survives. Raises like `judge`."""
    record = Record()
    remembered = {mutant.name for mutant in mutants if believed(record, mutant) is not None}
    first = "; compiling the others takes minutes" if len(remembered) < len(mutants) else ""
    say(f"{len(remembered)} of {len(mutants)} mutants are known from before{first}")
    tally = Tally(mutants)
    for mutant, verdict in judge(forge, mutants, record):
        line = tally.add(mutant, verdict, remembered=mutant.name in remembered)
        if verdict.outcome != "killed":
            say(f"{verdict.outcome}{'' if mutant.name in explained else ', NOT EXPLAINED'}: {mutant.name}")
        if line is not None:
            say(line)
    return tally


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
