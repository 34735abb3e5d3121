"""Whether a token behaves: a transfer simulated in the chain's own state, and what its code can do.

The simulation borrows the balance of a pool that holds the token: in one `eth_call` the pool's code, and that of a
made-up address, are replaced by Multicall3's, so that both can send. The pool sends to the made-up address (as a buyer
receives) and that sends on (as a seller sends); balances are read in between. Nothing of it is on the chain.

    verdict      by what
    HONEYPOT     one of the transfers fails, or says that it did
    TAKES_FEE    less arrives, or more leaves, than was sent
    REBASES      a difference of a few units, or functions of a token whose balances are shares
    BLACKLISTS   functions that shut accounts out
    PAUSABLE     functions that stop all transfers; also where it is paused now
    UNKNOWN      nobody with a balance is known, or the answers make no sense
    PLAIN        none of these

Code is searched for the selectors it compares with; behind a proxy (EIP-1167, EIP-1967, ZeppelinOS) it is the
implementation's. A token can hide from both, so a verdict lowers a risk and removes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from node.engine.endpoints import Endpoints
from node.engine.multicall import View, decode_aggregate, encode_aggregate, number_at
from node.engine.rpc import Call, RpcError, RpcRefused
from node.engine.rpc_types import Data, HashHex
from node.pipeline.events import TokenVerdict
from protocol.ethereum.abi import encode, selector
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, Hash32

SENT_SHARE: Final = 1_000
"""A thousandth of the holder's balance is sent."""
ROUNDING_UNITS: Final = 2
"""Tokens whose balances are shares may lose so many units to rounding."""
_PROBE: Final = Address(keccak256(b"hftnode token screen: probe")[12:])
_SINK: Final = Address(keccak256(b"hftnode token screen: sink")[12:])
_BALANCE_OF: Final = selector("balanceOf(address)")
_TRANSFER: Final = selector("transfer(address,uint256)")
_PAUSED: Final = selector("paused()")
_WORD: Final = 32
_CALLS_AT_ONCE: Final = 64
_SECONDS: Final = 15.0
_BALANCE_GAS: Final = hex(300_000)
_TRANSFERS_GAS: Final = hex(5_000_000)
"""These bound what the code of a token may take of a node's time, and how long an answer it can give."""

_REBASES: Final = (
    "rebase(uint256)",
    "rebase(uint256,int256)",
    "rebase(int256)",
    "sharesOf(address)",
    "getPooledEthByShares(uint256)",
    "scaledBalanceOf(address)",
    "gonsForBalance(uint256)",
    "rebasingCreditsPerToken()",
    "scalingFactor()",
    "yamsScalingFactor()",
)
_BLACKLISTS: Final = (
    "blacklist(address)",
    "isBlacklisted(address)",
    "isBlackListed(address)",
    "getBlackListStatus(address)",
    "addBlackList(address)",
    "blocked(address)",
    "setBlocked(address,bool)",
    "blockAccount(address)",
    "isBlocked(address)",
    "freeze(address)",
    "isFrozen(address)",
    "frozen(address)",
    "setBlacklist(address,bool)",
    "setBots(address[],bool)",
)
_PAUSABLE: Final = ("paused()", "pause()", "unpause()", "setPaused(bool)", "stopped()", "setTradingEnabled(bool)")
_BY_CODE: Final = tuple(
    (verdict, frozenset(map(selector, signatures)))
    for verdict, signatures in (
        (TokenVerdict.REBASES, _REBASES),
        (TokenVerdict.BLACKLISTS, _BLACKLISTS),
        (TokenVerdict.PAUSABLE, _PAUSABLE),
    )
)

_MINIMAL_PROXY: Final = bytes.fromhex("363d3d373d3d3d363d73")
_IMPLEMENTATION_SLOTS: Final = (
    "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc",  # EIP-1967
    "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3",  # ZeppelinOS
)
_PUSH1: Final = 0x60
_PUSH4: Final = 0x63
_PUSH32: Final = 0x7F


class TokenScreen:
    """Screens tokens through the nodes; `multicall3` is whose code does the simulated sending."""

    def __init__(self, endpoints: Endpoints, multicall3: Address) -> None:
        self._endpoints, self._multicall3 = endpoints, multicall3
        self._sender_code = ""

    async def screen(self, holders: Mapping[Address, Sequence[Address]], at: Hash32) -> dict[Address, TokenVerdict]:
        """Return the verdict on each token, given who may hold it. Raises RpcError where a node does not answer."""
        block = await self._ready(at)
        verdicts: dict[Address, TokenVerdict] = {}
        tokens = list(holders)
        for start in range(0, len(tokens), _CALLS_AT_ONCE):
            part = {token: holders[token] for token in tokens[start : start + _CALLS_AT_ONCE]}
            moved = await self._moved(part, block)
            by_code = await self._by_code(tuple(part), block)
            for token in part:
                found = moved.get(token, TokenVerdict.UNKNOWN)
                verdicts[token] = by_code[token] if found is TokenVerdict.PLAIN else found
        return verdicts

    async def moved(
        self, token: Address, holders: Sequence[Address], at: Hash32
    ) -> tuple[Address, TokenVerdict] | None:
        """Return what a token's transfers alone say, and who of its holders sent: the one with most of it.

        None where none has any. Raises RpcError.
        """
        block = await self._ready(at)
        richest = await self._richest({token: holders}, block)
        if token not in richest:
            return None
        return richest[token][0], (await self._by_transfer(richest, block))[token]

    async def _ready(self, at: Hash32) -> dict[str, str]:
        """Return the block as requests name it, with the code at hand that sends."""
        block = {"blockHash": "0x" + at.hex()}
        if not self._sender_code:
            code = await self._endpoints.call("eth_getCode", _hex(self._multicall3), block, shape=Data)
            self._sender_code = "0x" + code.hex()
        return block

    async def _moved(self, holders: Mapping[Address, Sequence[Address]], block: object) -> dict[Address, TokenVerdict]:
        """What tokens' transfers say, each by itself where they fail together; nothing of one that alone has no answer
        while the node has others: its own code may see to that.
        """
        try:
            return await self._by_transfer(await self._richest(holders, block), block)
        except RpcError:
            if len(holders) == 1:
                await self._endpoints.call("eth_getCode", _hex(self._multicall3), block, shape=Data)
                return {}
        moved: dict[Address, TokenVerdict] = {}
        for token, several in holders.items():
            moved |= await self._moved({token: several}, block)
        return moved

    async def _richest(
        self, holders: Mapping[Address, Sequence[Address]], block: object
    ) -> dict[Address, tuple[Address, int]]:
        """Return for each token who of its holders has most of it, and how much."""
        asked = [(token, holder) for token, several in holders.items() for holder in several]
        calls = [
            Call(
                "eth_call", ({"to": _hex(token), "data": _call(_BALANCE_OF, holder), "gas": _BALANCE_GAS}, block), Data
            )
            for token, holder in asked
        ]
        richest: dict[Address, tuple[Address, int]] = {}
        for (token, holder), answer in zip(asked, await self._endpoints.batch(calls, seconds=_SECONDS), strict=True):
            balance = 0 if isinstance(answer, RpcRefused) or len(answer) != _WORD else number_at(answer, 0)
            if balance > richest.get(token, (holder, 0))[1]:
                richest[token] = (holder, balance)
        return richest

    async def _by_transfer(
        self, richest: Mapping[Address, tuple[Address, int]], block: object
    ) -> dict[Address, TokenVerdict]:
        calls = [self._simulation(token, holder, balance, block) for token, (holder, balance) in richest.items()]
        answers = await self._endpoints.batch(calls, seconds=_SECONDS)
        return {
            token: _moved(answer, max(1, balance // SENT_SHARE))
            for (token, (_, balance)), answer in zip(richest.items(), answers, strict=True)
        }

    def _simulation(self, token: Address, holder: Address, balance: int, block: object) -> Call:
        amount = max(1, balance // SENT_SHARE)
        ours, probes, sinks = (View(token, _BALANCE_OF + _word(who)) for who in (holder, _PROBE, _SINK))
        # What arrived is not known beforehand: half of what was sent is there unless the fee is more than that.
        onward = encode_aggregate([View(token, _TRANSFER + _word(_SINK) + _number(max(1, amount // 2)))])
        views = [
            ours,
            probes,
            View(token, _TRANSFER + _word(_PROBE) + _number(amount)),
            ours,
            probes,
            sinks,
            View(_PROBE, onward),
            probes,
            sinks,
            View(token, _PAUSED),
        ]
        data = "0x" + encode_aggregate(views).hex()
        request = {"from": _hex(_SINK), "to": _hex(holder), "data": data, "gas": _TRANSFERS_GAS}
        overrides = {_hex(who): {"code": self._sender_code} for who in (holder, _PROBE)}
        return Call("eth_call", (request, block, overrides), Data)

    async def _by_code(self, tokens: Sequence[Address], block: object) -> dict[Address, TokenVerdict]:
        calls = [call for token in tokens for call in _code_calls(token, block)]
        answers = await self._endpoints.batch(calls, seconds=_SECONDS)
        size = 1 + len(_IMPLEMENTATION_SLOTS)
        codes: dict[Address, bytes] = {}
        behind: dict[Address, Address] = {}
        for index, token in enumerate(tokens):
            code, *slots = (_unrefused(answer) for answer in answers[size * index : size * index + size])
            codes[token] = code
            implementation = _implementation(code, slots)
            if implementation is not None:
                behind[token] = implementation
        asked = [Call("eth_getCode", (_hex(one), block), Data) for one in behind.values()]
        for token, answer in zip(behind, await self._endpoints.batch(asked, seconds=_SECONDS), strict=True):
            codes[token] += _unrefused(answer)
        return {token: verdict_by_code(codes[token]) for token in tokens}


def verdict_by_code(code: bytes) -> TokenVerdict:
    """Return what a token's code can do, the gravest first; PLAIN if nothing of it is found."""
    if not code:
        return TokenVerdict.UNKNOWN
    found = pushed_selectors(code)
    return next((verdict for verdict, selectors in _BY_CODE if found & selectors), TokenVerdict.PLAIN)


def pushed_selectors(code: bytes) -> set[bytes]:
    """Return the four-byte constants that code pushes; shorter ones are filled with leading zeros, as solc writes."""
    found: set[bytes] = set()
    place = 0
    while place < len(code):
        operation = code[place]
        place += 1
        if _PUSH1 <= operation <= _PUSH32:
            length = operation - _PUSH1 + 1
            if operation <= _PUSH4:
                found.add(code[place : place + length].rjust(4, b"\0"))
            place += length
    return found


def _code_calls(token: Address, block: object) -> list[Call]:
    slots = [Call("eth_getStorageAt", (_hex(token), slot, block), HashHex) for slot in _IMPLEMENTATION_SLOTS]
    return [Call("eth_getCode", (_hex(token), block), Data), *slots]


def _implementation(code: bytes, slots: Sequence[bytes]) -> Address | None:
    behind = code[len(_MINIMAL_PROXY) : len(_MINIMAL_PROXY) + 20]
    if code.startswith(_MINIMAL_PROXY) and len(behind) == 20:  # anybody may deploy less
        return Address(behind)
    return next((Address(slot[12:]) for slot in slots if any(slot)), None)


def _unrefused(answer: Any) -> bytes:
    """Return an answer; a refused one is raised: without it the verdict would be a guess."""
    if isinstance(answer, RpcError):
        raise answer
    data: bytes = answer
    return data


def _moved(answer: Any, amount: int) -> TokenVerdict:
    """Return what the simulated transfers say; PLAIN where everything arrived."""
    if isinstance(answer, RpcRefused):
        return TokenVerdict.UNKNOWN
    try:
        results = decode_aggregate(answer, 10)
        before, probe_before, sent, after, probe_after, sink_before, onward, probe_last, sink_after, paused = results
        if not _succeeded(sent):
            return TokenVerdict.PAUSABLE if paused and any(paused) else TokenVerdict.HONEYPOT
        left = _balance(before) - _balance(after)
        arrived = _balance(probe_after) - _balance(probe_before)
        sold = _balance(probe_after) - _balance(probe_last)
        bought = _balance(sink_after) - _balance(sink_before)
        if not _sold(onward) and arrived >= max(1, amount // 2):
            return TokenVerdict.HONEYPOT
    except ValueError:
        return TokenVerdict.UNKNOWN
    half = max(1, amount // 2)
    worst = max(abs(left - amount), abs(arrived - amount), abs(sold - half), abs(bought - half))
    if worst == 0:
        return TokenVerdict.PLAIN
    return TokenVerdict.REBASES if worst <= ROUNDING_UNITS < amount else TokenVerdict.TAKES_FEE


def _sold(onward: bytes | None) -> bool:
    if onward is None:
        return False
    return _succeeded(decode_aggregate(onward, 1)[0])


def _succeeded(returned: bytes | None) -> bool:
    """Whether a transfer succeeded: it did not revert, and returned nothing or true."""
    return returned is not None and (not returned or any(returned))


def _balance(answer: bytes | None) -> int:
    if answer is None:
        raise ValueError("balanceOf reverts")
    return number_at(answer, 0)


def _call(function: bytes, who: Address) -> str:
    return "0x" + (function + _word(who)).hex()


def _word(who: Address) -> bytes:
    return encode(["address"], [_hex(who)])


def _number(amount: int) -> bytes:
    return amount.to_bytes(_WORD, "big")


def _hex(address: Address) -> str:
    return "0x" + address.hex()
