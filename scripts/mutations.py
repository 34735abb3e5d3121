"""What a mutant of a contract is: one line of it changed, as a branch that `block.prevrandao` chooses.

A check left out, a check's bound moved by one, a statement left out, a sum turned into a difference, a modifier left
out. All mutants of a source fit into it at once, so that all are compiled at once; number 0 is none of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

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
