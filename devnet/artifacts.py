"""Contract bytecode: from npm packages' artifacts (Hardhat, Truffle, Waffle, Foundry) or from our own compilation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devnet.errors import ToolMissing
from devnet.packages import Packages


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytecode of one contract. Where a library's address belongs, `creation` has zeros and `links` the offsets."""

    name: str
    creation: bytes
    runtime: bytes
    links: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Library name to the byte offsets of its address in `creation`."""

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """Return the creation code with the libraries' addresses in. Raises `KeyError` if one is missing."""
        code = bytearray(self.creation)
        for library, offsets in self.links.items():
            address = bytes.fromhex(libraries[library][2:])
            for offset in offsets:
                code[offset : offset + 20] = address
        return bytes(code)


def load(packages: Packages, path: str) -> Artifact:
    """Load the build artifact at `path` (relative to `node_modules`)."""
    document = packages.json(path)
    name = path.rsplit("/", 1)[-1].removesuffix(".json")
    try:
        links = {
            library: tuple(int(reference["start"]) for reference in references)
            for file in _mapping(document.get("linkReferences")).values()
            for library, references in file.items()
        }
        creation, runtime = _code(document, "bytecode"), _code(document, "deployedBytecode")
        return Artifact(name, _bytes(creation), _bytes(runtime), links)
    except (KeyError, TypeError, ValueError) as error:
        raise ToolMissing(
            f"{packages.root / path} is not a contract artifact: delete {packages.root.parent}"
        ) from error


def _code(document: dict[str, Any], key: str) -> str:
    """Hardhat and Truffle put a string there, Foundry an object around it; Waffle has such an object under `evm`."""
    code = document.get(key)
    if not isinstance(code, str):
        code = (code or document["evm"][key])["object"]
    return str(code).removeprefix("0x")


def _bytes(code: str) -> bytes:
    """Decode hex in which a library's address is a 40-character placeholder (`__$…$__`)."""
    while (start := code.find("__")) >= 0:
        code = code[:start] + "0" * 40 + code[start + 40 :]
    return bytes.fromhex(code)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
