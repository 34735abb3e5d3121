"""The books of a scenario: token by token, what all whom it touched had before and have after, to the smallest unit.

Who was touched the chain tells: everybody in a Transfer event of the story's blocks, and every contract and account of
the world. Nothing may appear or vanish but by a change of the token's supply; of ether only the base fees, burned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from devnet.scenarios.stage import ScenarioFailed, Stage
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256

_TRANSFER: Final = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()
_SUPPLY: Final = encode_call("totalSupply()")


@dataclass(frozen=True, slots=True)
class Line:
    """One token's books. `supply`: by how much its supply changed."""

    token: str
    holders: int
    before: int
    after: int
    supply: int

    @property
    def balances(self) -> bool:
        """Whether before and supply make after."""
        return self.before + self.supply == self.after


async def close_books(stage: Stage) -> list[Line]:
    """Return the books of the story, told line by line, and undo the story. Raises `ScenarioFailed` if one is wrong.

    What was before is read after the chain went back to where the story began: of old blocks a node keeps no state.
    """
    tokens = {"HFT": "0x" + stage.contracts.token.hex()}
    tokens |= {token.symbol: token.address for token in stage.manifest.tokens if token.kind == "plain"}
    pages = [await _page(stage, symbol, address) for symbol, address in tokens.items()]
    holders, burned = await _ether_holders(stage)
    after = [await _sums(stage, page) for page in pages], await _ether(stage, holders)
    await stage.go_back()
    before = [await _sums(stage, page) for page in pages], await _ether(stage, holders)
    lines = [
        Line(page.token, len(page.holders), was[0], is_now[0], is_now[1] - was[1])
        for page, was, is_now in zip(pages, before[0], after[0], strict=True)
    ]
    lines.append(Line("ether", len(holders), before[1], after[1], -burned))
    _tell(stage, lines)
    if wrong := [line.token for line in lines if not line.balances]:
        raise ScenarioFailed(f"the books do not balance: {', '.join(wrong)}")
    return lines


@dataclass(frozen=True, slots=True)
class _Page:
    """One token, and everybody whom the story touched or who is a contract of the world."""

    token: str
    address: str
    holders: list[str]


async def _page(stage: Stage, symbol: str, address: str) -> _Page:
    wanted = {"address": address, "fromBlock": hex(stage.first_block + 1), "toBlock": "latest", "topics": [_TRANSFER]}
    logs = await stage.rpc.call("eth_getLogs", wanted)
    touched = {"0x" + topic[-40:] for log in logs for topic in log["topics"][1:3]}
    return _Page(symbol, address, sorted((touched | set(stage.manifest.contracts.values())) - {"0x" + "00" * 20}))


async def _sums(stage: Stage, page: _Page) -> tuple[int, int]:
    """Return what all holders have together, and the token's supply."""
    datas = [_SUPPLY, *(encode_call("balanceOf(address)", holder) for holder in page.holders)]
    calls = [("eth_call", ({"to": page.address, "data": "0x" + data.hex()}, "latest")) for data in datas]
    supply, *balances = (int(answer, 16) for answer in _answers(await stage.rpc.batch(calls)))
    return sum(balances), supply


async def _ether_holders(stage: Stage) -> tuple[list[str], int]:
    """Return all who sent, were sent to, mined or are contracts of the world; and the base fees, which are burned."""
    last, _ = await stage.head()
    holders, burned = set(stage.manifest.contracts.values()), 0
    for number in range(stage.first_block + 1, last + 1):
        block = await stage.rpc.call("eth_getBlockByNumber", hex(number), True)
        burned += int(block["gasUsed"], 16) * int(block["baseFeePerGas"], 16)
        holders.add(block["miner"])
        for sent in block["transactions"]:
            holders |= {sent["from"], *([sent["to"]] if sent["to"] else [])}
    return sorted(holders), burned


async def _ether(stage: Stage, holders: list[str]) -> int:
    calls = [("eth_getBalance", (holder, "latest")) for holder in holders]
    return sum(int(answer, 16) for answer in _answers(await stage.rpc.batch(calls)))


def _tell(stage: Stage, lines: list[Line]) -> None:
    stage.tell("books, in smallest units:")
    for line in lines:
        if line.before or line.after:
            supply = f"  supply {line.supply:+d}" if line.supply else ""
            verdict = "equal" if line.balances else "DIFFERENT"
            stage.tell(f"  {line.token:6} {line.holders:3} holders  {line.before} → {line.after}{supply}  {verdict}")


def _answers(found: list[Any]) -> list[str]:
    for answer in found:
        if isinstance(answer, Exception):
            raise answer
    return found
