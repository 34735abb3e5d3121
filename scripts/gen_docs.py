"""Writes the pages of docs/reference that come out of the code: one function a page. Same code, same bytes.

scripts/gen-docs           write them
scripts/gen-docs --check   exit 1 if a committed one differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from governance.contracts import contract
from node.config import Config
from node.config_file import described, table_of
from node.config_template import field_meanings, first_sentence, plain_value
from node.pipeline.reasons import Reason, Stage
from protocol.ethereum.abi import selector
from scripts.gen_command_docs import commands_page
from scripts.tree import ROOT

_ABI: Final = ROOT / "governance" / "abi"

_INTROS: Final = {
    Stage.DETECTION: "Between seeing something and deciding to take it. Most of these are everyday.",
    Stage.RISK: "The gate's refusals: nothing is signed that did not pass it.",
    Stage.SIMULATION: "The last check before signing.",
    Stage.SUBMISSION: "Between signing and the relays' answers.",
    Stage.OUTCOME: "What the target block told.",
}


def reasons_page() -> str:
    """Every reason for which an opportunity is dropped or an execution fails, by stage."""
    lines = [
        "# Reasons",
        "",
        "Every reason for which the node drops an opportunity or an execution fails, as the ledger stores it and",
        "`hftnode why` and the metrics show it. Generated from `node/pipeline/reasons.py` by `scripts/gen-docs`.",
    ]
    for stage in Stage:
        lines += ["", f"## {stage.value.capitalize()}", "", _INTROS[stage], ""]
        lines += ["| reason | what happened | what to do |", "|---|---|---|"]
        lines += [f"| `{reason}` | {reason.meaning} | {reason.advice} |" for reason in Reason if reason.stage is stage]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """Every key of the configuration, table by table, in the order of the structs."""
    lines = [
        "# Configuration",
        "",
        "Every key of `hftnode.toml`. `hftnode init` writes a file that explains itself; a wrong or unknown key is",
        "told with the nearest valid one, all at once. Generated from `node/config.py` and",
        "`node/pipeline/settings.py` by `scripts/gen-docs`.",
        "",
        '- **Amounts** are whole numbers of the smallest unit, or text: `"0.5 ether"`, `"30 gwei"`, `"5000e6"`.',
        '- **Times** (`…_ns`) are nanoseconds, or text: `"30 s"`, `"250 ms"`.',
        "- **Addresses** are 0x and 40 hex digits; in mixed case their checksum (EIP-55) must be right.",
        "- **Paths** count from the file's folder.",
        "- **Variables** go over the file: `HFTNODE_` and the key in capitals, tables and places in lists apart by two",
        "  underscores: `HFTNODE_MODE=shadow`, `HFTNODE_CHAIN__RPCS__0__HTTP=http://127.0.0.1:8545`. A table or list",
        "  may be given whole, as TOML. A password is never taken from a variable.",
    ]
    return "\n".join([*lines, *_tables(Config, "", listed=False)]) + "\n"


def _tables(shape: type[msgspec.Struct], name: str, *, listed: bool) -> Iterator[str]:
    title = f"`[[{name}]]`" if listed else f"`[{name}]`"
    yield from ["", f"## {title if name else 'At the top'}", "", first_sentence(shape), ""]
    yield from ["| key | takes | default | meaning |", "|---|---|---|---|"]
    inner = []
    for field in msgspec.structs.fields(shape):
        table = table_of(field)
        if table is not None:
            inner.append(
                (f"{name}.{field.name}" if name else field.name, table, described(field) == "a list of tables")
            )
            continue
        default = "" if field.required else _default(field)
        yield f"| `{field.name}` | {described(field)} | {default} | {field_meanings(shape)[field.name]} |"
    for inner_name, table, is_list in inner:
        yield from _tables(table, inner_name, listed=is_list)


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "none" if field.default is None else f"`{plain_value(field.default, field, Path())}`"


def contract_errors_page() -> str:
    """Every error of our own in the contracts, by contract, with its selector and what it means."""
    lines = [
        "# Errors of the contracts",
        "",
        "Why a contract refuses, as its interface says it. A contract also passes on the errors of those it calls, and",
        "OpenZeppelin's. Generated from `governance/abi` by `scripts/gen-docs`.",
    ]
    for path in sorted(_ABI.glob("*.json")):
        if errors := contract(path.stem).errors:
            lines += ["", f"## {path.stem}", "", "| error | selector | meaning |", "|---|---|---|"]
            lines += [f"| `{name}` | `0x{selector(name).hex()}` | {errors[name]} |" for name in sorted(errors)]
    return "\n".join(lines) + "\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/commands.md": commands_page,
    "docs/reference/configuration.md": configuration_page,
    "docs/reference/contract-errors.md": contract_errors_page,
    "docs/reference/reasons.md": reasons_page,
}


def differing(root: Path = ROOT) -> list[str]:
    """Return the pages that are not what the code says."""
    return [path for path, page in PAGES.items() if not (root / path).is_file() or (root / path).read_text() != page()]


def main(words: list[str], root: Path = ROOT) -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(prog="scripts/gen-docs", description="Generates docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page differs")
    if parser.parse_args(words).check:
        for path in (wrong := differing(root)):
            print(f"{path} is not what the code says: run scripts/gen-docs")
        return 1 if wrong else 0
    for path, page in PAGES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
