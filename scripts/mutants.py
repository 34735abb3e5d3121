"""`scripts/mutants`: changes the contracts' checks and accounting line by line, and sees a test fail each time.

A mutant is one line of a source of `SOURCES` changed: a check left out, a check's bound moved by one, a statement left
out, a sum turned into a difference, a modifier left out. All mutants are compiled at once: in a copy of contracts/ each
is a branch that is taken where `block.prevrandao` is the mutant's number, which forge is told from outside. So a
mutant costs the running of tests, not a compilation. Number 0 is none of them: with it all tests must pass.

A mutant that no test notices has survived. Every survivor is explained in `contracts/mutants.toml`; one that is not
explained is a failure, and so is an explanation whose mutant is gone or noticed by now.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.errors import DevnetError
from devnet.home import Home
from scripts.forge import PROJECT, Forge, prepare
from scripts.guards import copy_of_the_contracts

EXPLANATIONS: Final = PROJECT / "mutants.toml"
NETWORK: Final = "test/network/*.t.sol"
VAULT: Final = "test/*.t.sol"
SOURCES: Final = {
    "NodeStaking": NETWORK,
    "ExecutionLedger": NETWORK,
    "SlashingCourt": NETWORK,
    "RewardStream": NETWORK,
    "WorkRewards": NETWORK,
    "EmergencyBrake": NETWORK,
    "NetworkParameters": NETWORK,
    "VaultSettings": VAULT,
    "VaultModule": VAULT,
    "ArbExecutor": VAULT,
    "NetworkOrders": VAULT,
    "CallbackGuard": VAULT,
    "libraries/Allowance": VAULT,
    "libraries/Bucket": VAULT,
}
"""Source to the tests that are to notice its mutants."""
SECONDS: Final = 5_400.0
"""All of one run; mutants that it does not come to are a failure."""
_SECONDS_TO_COMPILE: Final = 900.0
_SECONDS_A_MUTANT: Final = 300.0
_WORKERS: Final = 2
_FUZZ_RUNS: Final = "16"
_NOT_FOR_MUTANTS: Final = "Gas|SymbolicMath|PlanVectors"
_SWAPPED: Final = {"<=": "<", ">=": ">", "<": "<=", ">": ">="}

_GUARD: Final = re.compile(r"^(?P<space>\s+)if \((?P<check>.*)\) (?P<act>revert .*;|\{)$")
_COMPARED: Final = re.compile(r" (<=|>=|<|>) ")
_SUM: Final = re.compile(r"^(?P<space>\s+)(?P<left>[\w.\[\]]+) (?P<sign>\+|-)= (?P<right>.*);$")
_STATEMENT: Final = re.compile(r"^(?P<space>\s+)(?P<text>[^;{}]*;)$")
_NO_STATEMENT: Final = re.compile(
    r"^(return|emit|revert|assembly|unchecked|using|import|error|event|///|//|break|continue|[})\],]|_;)"
    r"|^[\w.]+(\[\])? (memory|storage|calldata|private|internal|public|immutable|constant|transient|[a-z]\w*) "
    r"|^[\w.]+ \w+;$|^mapping|^\(\w+ memory |^\(?(u?int\d*|bytes\d*|bool|address) |^[\w.]+ \w+ = "
)
_FUNCTION: Final = re.compile(r"^    (function (\w+)|constructor|modifier (\w+)|receive)\b")
_MODIFIED: Final = re.compile(r" (onlyCourt|onlyGovernance)\b")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `number` chooses it, `line` (from 0) is where; `name` says it for good: source, function, what."""

    number: int
    source: str
    line: int
    name: str
    text: str
    """The line with the branch in it."""


def mutants_of(source: str, lines: Sequence[str], first: int) -> list[Mutant]:
    """Return every mutant of a source, numbered from `first` on."""
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    place, is_fixed = "", False
    for index, line in enumerate(lines):
        begun = _FUNCTION.match(line)
        if begun is not None:
            place = begun[2] or begun[3] or begun[1]
            is_fixed = _is_pure_for_all(lines, index)
        if not place or is_fixed or _continues(lines, index):
            continue
        for what, text in _changes(line, first + len(found)):
            name = f"{source}.{place}: {what}"
            seen[name] += 1
            again = f" ({seen[name]})" if seen[name] > 1 else ""
            found.append(Mutant(first + len(found), source, index, name + again, text))
    return found


def _is_pure_for_all(lines: Sequence[str], index: int) -> bool:
    """Whether a function that others know as pure begins here: it cannot look at the chosen number."""
    header = ""
    for line in lines[index:]:
        header += line
        if "{" in line or ";" in line:
            break
    return " pure" in header and (" public" in header or " external" in header)


def _continues(lines: Sequence[str], index: int) -> bool:
    """Whether the line goes on with what another one began, or says to whoever reads it only."""
    before = lines[index - 1].split("//")[0].rstrip() if index else ""
    return before != "" and before[-1] not in ";{}"


def _changes(line: str, number: int) -> Iterator[tuple[str, str]]:
    """Yield what may be changed in a line, and the line that does so where the number is chosen."""
    chosen = f"block.prevrandao == {number}"
    guard = _GUARD.match(line)
    if guard is not None:
        if guard["act"].startswith("revert"):
            yield (
                f"without `if ({guard['check']})`",
                (f"{guard['space']}if (block.prevrandao != {number} && ({guard['check']})) {guard['act']}"),
            )
            number += 1
        compared = _COMPARED.search(guard["check"])
        if compared is not None and "?" not in guard["check"]:
            moved = guard["check"][: compared.start(1)] + _SWAPPED[compared[1]] + guard["check"][compared.end(1) :]
            yield (
                f"`{moved}` for `{guard['check']}`",
                (f"{guard['space']}if (block.prevrandao == {number} ? ({moved}) : ({guard['check']})) {guard['act']}"),
            )
        return
    modified = _MODIFIED.search(line)
    if modified is not None and line.startswith("    function "):
        yield f"without {modified[1]}", line.replace(f" {modified[1]}", f" {modified[1]}But({number})")
        return
    added = _SUM.match(line)
    if added is not None:
        other = "-" if added["sign"] == "+" else "+"
        turned = f"{added['left']} {other}= {added['right']};"
        yield f"`{turned}`", f"{added['space']}if ({chosen}) {turned} else {line.strip()}"
        return
    statement = _STATEMENT.match(line)
    if statement is not None and not _NO_STATEMENT.match(statement["text"]):
        yield f"without `{statement['text']}`", f"{statement['space']}if (block.prevrandao != {number}) {line.strip()}"


def planted(lines: Sequence[str], mutants: Sequence[Mutant]) -> list[str]:
    """Return the source with all of its mutants in it."""
    changed = list(lines)
    for mutant in mutants:
        own = [other for other in mutants if other.line == mutant.line]
        changed[mutant.line] = mutant.text if len(own) == 1 else _both(lines[mutant.line], own)
    text = "\n".join(_seeing(changed, {mutant.line for mutant in mutants}))
    for name in set(re.findall(r"\b(only\w+)But\(", text)):
        text = re.sub(
            rf"    modifier {name}\(\) \{{\n        (if \(.*)\n        _;\n    \}}",
            lambda found, name=name: (  # type: ignore[misc]
                found[0]
                + f"\n\n    modifier {name}But(uint256 number) {{\n        if (block.prevrandao != number) {{\n"
                f"            {found[1]}\n        }}\n        _;\n    }}"
            ),
            text,
        )
    return text.split("\n")


def _both(line: str, own: Sequence[Mutant]) -> str:
    """A check that may be left out or moved."""
    guard = _GUARD.match(line)
    moved = _GUARD.match(own[1].text)
    if guard is None or moved is None:
        raise ValueError(f"two mutants of {line.strip()}")
    return f"{guard['space']}if (block.prevrandao != {own[0].number} && ({moved['check']})) {guard['act']}"


def _seeing(lines: list[str], places: set[int]) -> list[str]:
    """Functions that were pure look at the chosen number now."""
    seeing = list(lines)
    for place in places:
        begin = next(at for at in range(place, -1, -1) if _FUNCTION.match(lines[at]))
        for at in range(begin, place):
            seeing[at] = re.sub(r"\b(private|internal)( returns.*)? pure\b", r"\1 view", seeing[at])
            seeing[at] = re.sub(r"\bpure\b", "view", seeing[at]) if "{" in lines[at] or at > begin else seeing[at]
            if "{" in lines[at]:
                break
    return seeing


def read_explanations(path: Path = EXPLANATIONS) -> dict[str, str]:
    """Return why each survivor may live, by the mutant's name. Raises `ValueError` for one without words."""
    explained: dict[str, str] = {}
    for entry in tomllib.loads(path.read_text()).get("explained", []):
        if not entry["why"].strip():
            raise ValueError(f"{path.name}: an explanation says nothing")
        explained |= dict.fromkeys(entry["mutants"], entry["why"])
    return explained


def differences(survivors: Iterable[str], known: Iterable[str], explained: Mapping[str, str]) -> list[str]:
    """Name the survivors that are not explained, and the explanations of mutants that are noticed or gone."""
    alive, names = set(survivors), set(known)
    return [
        *(f"not explained: {name}" for name in sorted(alive - explained.keys())),
        *(f"explained, and noticed by now: {name}" for name in sorted((explained.keys() & names) - alive)),
        *(f"explained, and no mutant: {name}" for name in sorted(explained.keys() - names)),
    ]


def collect(folder: Path = PROJECT) -> list[Mutant]:
    """Return all mutants of all sources."""
    found: list[Mutant] = []
    for source in SOURCES:
        lines = (folder / "src" / f"{source}.sol").read_text().split("\n")
        found += mutants_of(source, lines, 1 + len(found))
    return found


def plant(folder: Path, mutants: Sequence[Mutant]) -> None:
    """Write all mutants into a copy of contracts/."""
    for source in SOURCES:
        path = folder / "src" / f"{source}.sol"
        path.write_text("\n".join(planted(path.read_text().split("\n"), [m for m in mutants if m.source == source])))


def _test(forge: Forge, folder: Path, tests: str, number: int, seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {
        **forge.environment,
        "FOUNDRY_OUT": str(folder / "out"),
        "FOUNDRY_CACHE_PATH": str(folder / "cache"),
        "FOUNDRY_BLOCK_PREVRANDAO": f"0x{number:064x}",
        "FOUNDRY_FUZZ_RUNS": _FUZZ_RUNS,
        "FOUNDRY_DENY": "never",
        "FOUNDRY_DYNAMIC_TEST_LINKING": "false",  # forge would read all sources anew for each mutant
    }
    words = ["test", "--fail-fast", "--threads", "1", "--match-path", tests, "--no-match-contract", _NOT_FOR_MUTANTS]
    return subprocess.run(
        [str(forge.program), *words],
        cwd=folder / PROJECT.name,
        env=environment,
        timeout=seconds,
        capture_output=True,
        text=True,
        check=False,
    )


def _is_noticed(forge: Forge, folder: Path, mutant: Mutant, end: float) -> bool | None:
    """Whether a test fails, or does not end; None where there is no time left to see."""
    if time.monotonic() > end:
        return None
    try:
        done = _test(forge, folder, SOURCES[mutant.source], mutant.number, _SECONDS_A_MUTANT)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode != 0 and "[FAIL" not in done.stdout:
        raise ValueError(f"{mutant.name}:\n{(done.stdout + done.stderr)[-4_000:]}")
    return done.returncode != 0


def judge(forge: Forge, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, bool | None]]:
    """Yield of each mutant whether a test noticed it. Raises `ValueError` if one fails without any, or nothing runs."""
    end = time.monotonic() + SECONDS
    with copy_of_the_contracts() as folder:
        plant(folder / PROJECT.name, mutants)
        for tests in sorted({SOURCES[mutant.source] for mutant in mutants}):
            whole = _test(forge, folder, tests, 0, _SECONDS_TO_COMPILE)
            if whole.returncode != 0 or " 0 failed" not in whole.stdout:
                raise ValueError(f"without a mutant:\n{(whole.stdout + whole.stderr)[-8_000:]}")
        with ThreadPoolExecutor(_WORKERS) as workers:
            noticed = workers.map(lambda mutant: _is_noticed(forge, folder, mutant, end), mutants)
            yield from zip(mutants, noticed, strict=True)


def main(words: Sequence[str]) -> int:
    """Judge the mutants of the named sources, or of all; return 1 for a difference to what is explained."""
    known = collect()
    chosen = [mutant for mutant in known if not words or mutant.source in words]
    if not chosen:
        print(f"no source is called {' or '.join(words)}; there are {', '.join(SOURCES)}", file=sys.stderr)
        return 2
    begun, survivors, unseen = time.monotonic(), list[str](), 0
    names = [mutant.name for mutant in (known if not words else chosen)]
    try:
        explained = read_explanations()
        forge = asyncio.run(prepare(Home.from_environment(), lambda line: print(line, file=sys.stderr)))
        for mutant, noticed in judge(forge, chosen):
            unseen += noticed is None
            if noticed is False:
                survivors.append(mutant.name)
                print(f"survived{'' if mutant.name in explained else ', NOT EXPLAINED'}: {mutant.name}", flush=True)
    except (DevnetError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    about = {name: why for name, why in explained.items() if not words or name.split(".")[0] in words}
    wrong = differences(survivors, names, about)
    print("\n".join(line for line in wrong if not line.startswith("not explained")))
    print(
        f"{len(chosen)} mutants, {len(chosen) - len(survivors) - unseen} noticed, {len(survivors)} survived"
        f" ({len(wrong)} differences to what is explained), {unseen} not come to; {time.monotonic() - begun:.0f} s"
    )
    return 1 if wrong or unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
