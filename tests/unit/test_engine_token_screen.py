"""Verdicts on tokens that are made for each of them, without a chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.engine.rpc import RpcRefused, RpcUnreachable, TransportFailed
from node.engine.token_screen import TokenScreen, pushed_selectors, verdict_by_code
from node.pipeline.events import TokenVerdict
from protocol.ethereum.abi import decode, encode, selector
from protocol.units import Address, Hash32
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to, unplugged
from tests.fake_contracts import word

BLOCK = Hash32(b"\x01" * 32)
TOKEN, POOL, POORER, MULTICALL3 = (Address(bytes([n]) * 20) for n in (0xA1, 0xB1, 0xB2, 0xCA))
HELD = 1_000_000


class Token:
    """An ERC-20 in memory. `fee`: of 1,000 units; `lost`: units that vanish with a transfer."""

    def __init__(self, code: bytes = b"\x00", fee: int = 0, lost: int = 0) -> None:
        self.code, self.fee, self.lost = code, fee, lost
        self.returns = word(1)
        self.can_buy = self.can_sell = True
        self.paused: bytes | None = None
        self.slots: dict[str, bytes] = {}
        self.implementation = b""

    def node(self) -> FakeNode:
        return FakeNode(eth_call=self._call, eth_getCode=self._code, eth_getStorageAt=self._slot)

    def _code(self, address: str, _block: Any) -> str:
        if len(address) != 42:
            raise Refuse(-32602, f"hex string has length {len(address) - 2}, want 40 for common.Address")
        codes = {TOKEN: self.code, MULTICALL3: b"\x60\x01"}
        return "0x" + codes.get(Address(bytes.fromhex(address[2:])), self.implementation).hex()

    def _slot(self, _address: str, slot: str, _block: Any) -> str:
        return "0x" + self.slots.get(slot, bytes(32)).hex()

    def _call(self, request: dict[str, Any], _block: Any, *overrides: Any) -> str:
        data = bytes.fromhex(request["data"][2:])
        if not overrides:
            holder = data[16:36]
            return "0x" + word({POOL: HELD, POORER: 5}.get(Address(holder), 0)).hex()
        balances: dict[bytes, int] = {POOL: HELD}
        sender = bytes.fromhex(request["to"][2:])
        return "0x" + self._aggregate(balances, sender, data).hex()

    def _aggregate(self, balances: dict[bytes, int], sender: bytes, data: bytes) -> bytes:
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        results = []
        for target, _, call in calls:
            answer = self._one(balances, sender, bytes.fromhex(target[2:]), call)
            results.append((answer is not None, answer or b""))
        return encode(["(bool,bytes)[]"], [results])

    def _one(self, balances: dict[bytes, int], sender: bytes, target: bytes, call: bytes) -> bytes | None:
        if target != TOKEN:
            return self._aggregate(balances, target, call)
        if call[:4] == selector("balanceOf(address)"):
            return word(balances.get(call[16:36], 0))
        if call[:4] == selector("paused()"):
            return self.paused
        return self._transfer(balances, sender, call[16:36], int.from_bytes(call[36:68], "big"))

    def _transfer(self, balances: dict[bytes, int], sender: bytes, to: bytes, amount: int) -> bytes | None:
        if not (self.can_buy if sender == POOL else self.can_sell) or balances.get(sender, 0) < amount:
            return None
        balances[sender] -= amount
        balances[to] = balances.get(to, 0) + amount - amount * self.fee // 1000 - self.lost
        return self.returns


async def verdict_on(token: Token) -> TokenVerdict:
    screen = TokenScreen(endpoints_to([token.node()]), MULTICALL3)
    return (await screen.screen({TOKEN: [POORER, POOL]}, BLOCK))[TOKEN]


def pushing(*signatures: str) -> bytes:
    """Code that compares with these selectors."""
    return b"".join(b"\x63" + selector(signature) for signature in signatures)


def changed(**fields: Any) -> Token:
    token = Token()
    for name, value in fields.items():
        setattr(token, name, value)
    return token


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (Token, TokenVerdict.PLAIN),
        (lambda: changed(returns=b""), TokenVerdict.PLAIN),
        (lambda: Token(fee=10), TokenVerdict.TAKES_FEE),
        (lambda: Token(fee=999), TokenVerdict.TAKES_FEE),
        (lambda: Token(lost=1), TokenVerdict.REBASES),
        (lambda: changed(can_buy=False), TokenVerdict.HONEYPOT),
        (lambda: changed(can_sell=False), TokenVerdict.HONEYPOT),
        (lambda: changed(returns=word(0)), TokenVerdict.HONEYPOT),
        (lambda: changed(can_buy=False, paused=word(1)), TokenVerdict.PAUSABLE),
        (lambda: changed(can_buy=False, paused=word(0)), TokenVerdict.HONEYPOT),
        (lambda: changed(code=b""), TokenVerdict.UNKNOWN),
        (lambda: Token(pushing("rebase(uint256)", "pause()")), TokenVerdict.REBASES),
        (lambda: Token(pushing("isBlacklisted(address)", "pause()")), TokenVerdict.BLACKLISTS),
        (lambda: Token(pushing("transfer(address,uint256)", "pause()")), TokenVerdict.PAUSABLE),
        (lambda: Token(pushing("pause()"), fee=10), TokenVerdict.TAKES_FEE),
    ],
)
async def test_a_token_gets_the_verdict_that_it_deserves(make: Callable[[], Token], verdict: TokenVerdict) -> None:
    assert await verdict_on(make()) is verdict


async def test_without_a_holder_nothing_is_known() -> None:
    screen = TokenScreen(endpoints_to([Token().node()]), MULTICALL3)
    assert await screen.screen({TOKEN: []}, BLOCK) == {TOKEN: TokenVerdict.UNKNOWN}


@pytest.mark.parametrize("slot", ["0x3608", "0x7050"])
async def test_behind_a_proxy_the_implementation_is_searched(slot: str) -> None:
    token = Token(b"\x36\x3d")
    full = {
        "0x3608": "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc",
        "0x7050": "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3",
    }[slot]
    token.slots[full] = bytes(12) + b"\x77" * 20
    token.implementation = pushing("addBlackList(address)")
    assert await verdict_on(token) is TokenVerdict.BLACKLISTS


async def test_behind_a_minimal_proxy_the_implementation_is_searched() -> None:
    token = Token(
        bytes.fromhex("363d3d373d3d3d363d73") + b"\x77" * 20 + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    )
    token.implementation = pushing("unpause()")
    assert await verdict_on(token) is TokenVerdict.PAUSABLE


@pytest.mark.parametrize("bytes_of_address", [0, 19])
async def test_code_that_begins_as_a_minimal_proxy_and_ends_in_the_address_is_no_proxy(bytes_of_address: int) -> None:
    token = Token(bytes.fromhex("363d3d373d3d3d363d73") + b"\x77" * bytes_of_address)
    assert await verdict_on(token) is TokenVerdict.PLAIN


async def test_a_refused_simulation_means_unknown_and_a_refused_code_is_an_error() -> None:
    token = Token()
    node = token.node()
    inner = node.methods["eth_call"]

    def call(request: dict[str, Any], block: Any, *overrides: Any) -> Any:
        if overrides:
            raise Refuse(-32602, "no state overrides here")
        return inner(request, block)

    node.methods["eth_call"] = call
    screen = TokenScreen(endpoints_to([node]), MULTICALL3)
    assert await screen.screen({TOKEN: [POOL]}, BLOCK) == {TOKEN: TokenVerdict.UNKNOWN}
    del node.methods["eth_getStorageAt"]
    with pytest.raises(RpcRefused):
        await screen.screen({TOKEN: [POOL]}, BLOCK)


async def test_a_token_whose_answers_are_too_long_to_be_read_takes_no_verdict_from_the_others() -> None:
    node, bomb = Token().node(), Address(b"\xa2" * 20)
    inner, gas = node.methods["eth_call"], list[int]()

    def call(request: dict[str, Any], block: Any, *overrides: Any) -> Any:
        gas.append(int(request["gas"], 16))
        if request["to"] == "0x" + bomb.hex():
            raise TransportFailed("the answer is too long")
        return inner(request, block, *overrides)

    node.methods["eth_call"] = call
    screen = TokenScreen(endpoints_to([node]), MULTICALL3)
    verdicts = await screen.screen({bomb: [POOL], TOKEN: [POORER, POOL]}, BLOCK)
    assert verdicts == {bomb: TokenVerdict.UNKNOWN, TOKEN: TokenVerdict.PLAIN}
    assert max(gas) <= 5_000_000
    node.misbehaviour = unplugged
    with pytest.raises(RpcUnreachable):
        await screen.screen({bomb: [POOL]}, BLOCK)


async def test_a_simulation_that_makes_no_sense_means_unknown() -> None:
    node = Token().node()
    inner = node.methods["eth_call"]
    answers = iter(["0x", "0x" + encode(["(bool,bytes)[]"], [[(False, b"")] * 10]).hex()])
    node.methods["eth_call"] = lambda request, block, *o: next(answers) if o else inner(request, block)
    screen = TokenScreen(endpoints_to([node]), MULTICALL3)
    assert await screen.screen({TOKEN: [POOL]}, BLOCK) == {TOKEN: TokenVerdict.UNKNOWN}
    assert await screen.screen({TOKEN: [POOL]}, BLOCK) == {TOKEN: TokenVerdict.HONEYPOT}
    broken = [(True, word(0))] * 2 + [(True, b"")] + [(False, b"")] * 7
    answers = iter(["0x" + encode(["(bool,bytes)[]"], [broken]).hex()])
    assert await screen.screen({TOKEN: [POOL]}, BLOCK) == {TOKEN: TokenVerdict.UNKNOWN}


def test_constants_inside_longer_pushes_are_not_selectors() -> None:
    hidden = b"\x7f" + selector("pause()") + bytes(28)
    assert verdict_by_code(hidden) is TokenVerdict.PLAIN
    assert pushed_selectors(b"\x62\x01\x02\x03") == {b"\x00\x01\x02\x03"}
    assert pushed_selectors(b"\x63\x01") == {b"\x00\x00\x00\x01"}


async def test_what_transfers_alone_say_is_told_with_who_sent() -> None:
    token = Token(pushing("pause()"), fee=10)
    screen = TokenScreen(endpoints_to([token.node()]), MULTICALL3)
    assert await screen.moved(TOKEN, [POORER, POOL], BLOCK) == (POOL, TokenVerdict.TAKES_FEE)
    token.fee = 0
    assert await screen.moved(TOKEN, [POORER, POOL], BLOCK) == (POOL, TokenVerdict.PLAIN), "code is not looked at"
    assert await screen.moved(TOKEN, [Address(b"\xee" * 20)], BLOCK) is None, "nobody has any"
