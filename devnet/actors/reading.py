"""Reads the view of a block in one `eth_call`: Multicall3 over every pool, balance, feed, loan and position.

The call data is encoded once and used again for every block, until a V3 position comes or goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors.market import STABLE_FAMILY, V2_FAMILIES, V3_FAMILY, WEIGHTED_FAMILY, Market
from devnet.actors.view import (
    ConcentratedState,
    ConstantProductState,
    FeedState,
    LoanState,
    PoolState,
    Position,
    VaultState,
    View,
)
from devnet.errors import ChainFailed
from devnet.manifest import Pool
from devnet.rpc import RpcClient
from protocol.ethereum.abi import decode, encode_call

_AGGREGATE: Final = "aggregate3((address,bool,bytes)[])"
_GAS: Final = 0x1C9C380 * 10
_WORD: Final = 32

Call = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Whose balances are read: holder's name to its address, and the token symbols."""

    name: str
    address: str
    symbols: tuple[str, ...]


@dataclass(slots=True)
class _Fixed:
    """What does not change while the chain runs."""

    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    amplification: dict[str, int] = field(default_factory=dict)
    vault_order: dict[str, tuple[int, ...]] = field(default_factory=dict)
    debt_tokens: dict[str, str] = field(default_factory=dict)
    first_position: dict[str, int] = field(default_factory=dict)


class StateReader:
    """Builds views. `providers` may open `maximum_positions` V3 positions each beside those they have at the start."""

    def __init__(
        self,
        rpc: RpcClient,
        market: Market,
        holdings: Sequence[Holdings],
        *,
        providers: Sequence[str],
        borrowers: Sequence[str],
        maximum_positions: int,
    ) -> None:
        self._rpc, self._market, self._holdings = rpc, market, tuple(holdings)
        self._providers, self._borrowers = tuple(providers), tuple(borrowers)
        self._maximum_positions = maximum_positions
        self._fixed = _Fixed()
        self._token_ids: dict[str, tuple[int, ...]] = {}
        self._encoded: tuple[tuple[int, ...], str] | None = None
        self._pairs = tuple(
            pool for pool in market.pools.values() if pool.family in V2_FAMILIES and market.is_plain(pool)
        )

    async def start(self) -> None:
        """Read what does not change: weights, amplification, debt tokens, positions there are. Raises `ChainFailed`."""
        market, vault = self._market, self._market.contract("balancer_vault")
        for pool in market.pools.values():
            if pool.family not in (WEIGHTED_FAMILY, STABLE_FAMILY):
                continue
            calls = [(vault, _pool_tokens(pool))]
            if pool.family == WEIGHTED_FAMILY:
                calls.append((pool.address, encode_call("getNormalizedWeights()")))
            else:
                calls.append((pool.address, encode_call("getAmplificationParameter()")))
            tokens, curve = await self._aggregate(calls)
            registered = [address.lower() for address in decode(["address[]", "uint256[]", "uint256"], tokens)[0]]
            order = tuple(registered.index(market.address(symbol)) for symbol in pool.tokens)
            self._fixed.vault_order[pool.name] = order
            if pool.family == WEIGHTED_FAMILY:
                weights = decode(["uint256[]"], curve)[0]
                self._fixed.weights[pool.name] = tuple(weights[index] for index in order)
            else:
                self._fixed.amplification[pool.name] = decode(["uint256", "bool", "uint256"], curve)[0]
        await self._read_debt_tokens()
        manager = market.contract("uniswap_v3_position_manager")
        owned = [(manager, encode_call("balanceOf(address)", named_account(name).address)) for name in self._providers]
        for name, answer in zip(self._providers, await self._aggregate(owned), strict=True):
            self._fixed.first_position[name] = _word(answer, 0)

    async def _read_debt_tokens(self) -> None:
        """Learn the variable debt token of every reserve: word 10 of Aave V3's ReserveData."""
        pool = self._market.contract("aave_pool")
        (listed,) = await self._aggregate([(pool, encode_call("getReservesList()"))])
        assets = [asset.lower() for asset in decode(["address[]"], listed)[0]]
        known = [asset for asset in assets if asset in self._market.symbols]
        reserves = await self._aggregate([(pool, encode_call("getReserveData(address)", asset)) for asset in known])
        for asset, reserve in zip(known, reserves, strict=True):
            self._fixed.debt_tokens[self._market.symbols[asset]] = _address(reserve, 10)

    async def read(self, number: int, timestamp: int, base_fee: int, prices_e8: Mapping[str, int]) -> View:
        """Return the view of block `number`. Raises `ChainFailed` or `RpcError`."""
        token_ids = tuple(sorted(i for ids in self._token_ids.values() for i in ids))
        if self._encoded is None or self._encoded[0] != token_ids:
            self._encoded = (token_ids, _encode(self._calls(token_ids)))
        answers = _Answers(await self._call(self._encoded[1], hex(number)))
        pools = {pool.name: self._pool_state(pool, answers) for pool in self._market.pools.values()}
        balances = {(h.name, symbol): _word(answers.take(), 0) for h in self._holdings for symbol in h.symbols}
        ether = {h.name: _word(answers.take(), 0) for h in self._holdings}
        feeds = {symbol: _feed(answers.take()) for symbol in sorted(self._market.manifest.aggregators)}
        loans = {account: self._loan(answers) for account in self._borrowers}
        shares = {(name, pool.name): _word(answers.take(), 0) for name in self._providers for pool in self._pairs}
        owned = {name: self._owned(answers) for name in self._providers}
        positions = {token_id: self._position(token_id, answers.take_or_none()) for token_id in token_ids}
        answers.end()
        held = {
            name: tuple(found for token_id in ids if (found := positions.get(token_id)) is not None)
            for name, ids in owned.items()
        }
        self._token_ids = owned
        return View(number, timestamp, base_fee, pools, balances, ether, prices_e8, feeds, loans, shares, held)

    def _calls(self, token_ids: Sequence[int]) -> list[Call]:
        """All calls, in the order in which `read` takes the answers."""
        market = self._market
        multicall, aave = market.contract("multicall3"), market.contract("aave_pool")
        manager = market.contract("uniswap_v3_position_manager")
        calls: list[Call] = [call for pool in market.pools.values() for call in self._pool_calls(pool)]
        calls += [(market.address(symbol), _balance_of(h.address)) for h in self._holdings for symbol in h.symbols]
        calls += [(multicall, encode_call("getEthBalance(address)", h.address)) for h in self._holdings]
        aggregators = market.manifest.aggregators
        calls += [(aggregators[symbol], encode_call("latestRoundData()")) for symbol in sorted(aggregators)]
        for borrower in self._borrowers:
            address = named_account(borrower).address
            calls.append((aave, encode_call("getUserAccountData(address)", address)))
            calls += [(token, _balance_of(address)) for _, token in sorted(self._fixed.debt_tokens.items())]
        calls += [
            (pool.address, _balance_of(named_account(name).address)) for name in self._providers for pool in self._pairs
        ]
        for name in self._providers:
            first, address = self._fixed.first_position[name], named_account(name).address
            calls += [
                (manager, encode_call("tokenOfOwnerByIndex(address,uint256)", address, first + index))
                for index in range(self._maximum_positions)
            ]
        calls += [(manager, encode_call("positions(uint256)", token_id)) for token_id in token_ids]
        return calls

    def _pool_calls(self, pool: Pool) -> list[Call]:
        if pool.family in V2_FAMILIES:
            return [(pool.address, encode_call("getReserves()"))]
        if pool.family == V3_FAMILY:
            return [(pool.address, encode_call("slot0()")), (pool.address, encode_call("liquidity()"))]
        return [(self._market.contract("balancer_vault"), _pool_tokens(pool))]

    def _pool_state(self, pool: Pool, answers: _Answers) -> PoolState:
        answer = answers.take()
        if pool.family in V2_FAMILIES:
            return ConstantProductState((_word(answer, 0), _word(answer, 1)))
        if pool.family == V3_FAMILY:
            return ConcentratedState(_word(answer, 0), _signed(answer, 1), _word(answers.take(), 0))
        held = decode(["address[]", "uint256[]", "uint256"], answer)[1]
        balances = tuple(held[index] for index in self._fixed.vault_order[pool.name])
        weights = self._fixed.weights.get(pool.name, ())
        return VaultState(balances, weights, self._fixed.amplification.get(pool.name, 0))

    def _loan(self, answers: _Answers) -> LoanState:
        data = answers.take()
        debts = {symbol: _word(answers.take(), 0) for symbol in sorted(self._fixed.debt_tokens)}
        return LoanState(_word(data, 0), _word(data, 1), _word(data, 2), _word(data, 5), debts)

    def _owned(self, answers: _Answers) -> tuple[int, ...]:
        found = [answers.take_or_none() for _ in range(self._maximum_positions)]
        return tuple(_word(answer, 0) for answer in found if answer is not None)

    def _position(self, token_id: int, answer: bytes | None) -> Position | None:
        if answer is None:
            return None
        tokens, fee, liquidity = {_address(answer, 2), _address(answer, 3)}, _word(answer, 4), _word(answer, 7)
        for pool in self._market.by_family.get(V3_FAMILY, ()):
            if pool.fee_pips == fee and {self._market.address(symbol) for symbol in pool.tokens} == tokens:
                return Position(token_id, pool.name, liquidity)
        return None

    async def _aggregate(self, calls: Sequence[Call]) -> list[bytes]:
        answers = _Answers(await self._call(_encode(calls), "latest"))
        return [answers.take() for _ in calls]

    async def _call(self, data: str, block: str) -> bytes:
        request = {"to": self._market.contract("multicall3"), "data": data, "gas": hex(_GAS)}
        answer = await self._rpc.call("eth_call", request, block)
        if not isinstance(answer, str) or len(answer) < 2:
            raise ChainFailed("the chain answered a multicall with nothing")
        return bytes.fromhex(answer[2:])


class _Answers:
    """Walks through the returned `(bool, bytes)[]`, without eth-abi: a thousand entries a block."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._base = _word(data, 0) + _WORD
        self._count = int.from_bytes(data[self._base - _WORD : self._base], "big")
        self._next = 0

    def take_or_none(self) -> bytes | None:
        """Return the next answer; None if that call reverted."""
        if self._next >= self._count:
            raise ChainFailed("a multicall has fewer answers than calls")
        start = self._base + self._at(self._base + self._next * _WORD)
        self._next += 1
        if not self._at(start):
            return None
        length = self._at(start + 2 * _WORD)
        return self._data[start + 3 * _WORD : start + 3 * _WORD + length]

    def take(self) -> bytes:
        """Return the next answer. Raises `ChainFailed` if that call reverted."""
        answer = self.take_or_none()
        if answer is None:
            raise ChainFailed(f"call {self._next - 1} of a multicall reverted")
        return answer

    def end(self) -> None:
        """Check that all answers were taken."""
        if self._next != self._count:
            raise ChainFailed("a multicall has more answers than calls")

    def _at(self, offset: int) -> int:
        return int.from_bytes(self._data[offset : offset + _WORD], "big")


def _encode(calls: Sequence[Call]) -> str:
    return "0x" + encode_call(_AGGREGATE, [(target, True, data) for target, data in calls]).hex()


def _balance_of(address: str) -> bytes:
    return encode_call("balanceOf(address)", address)


def _pool_tokens(pool: Pool) -> bytes:
    return encode_call("getPoolTokens(bytes32)", bytes.fromhex(pool.pool_id[2:]))


def _word(data: bytes, index: int) -> int:
    return int.from_bytes(data[index * _WORD : (index + 1) * _WORD], "big")


def _signed(data: bytes, index: int) -> int:
    return int.from_bytes(data[index * _WORD : (index + 1) * _WORD], "big", signed=True)


def _address(data: bytes, index: int) -> str:
    return "0x" + data[index * _WORD + 12 : (index + 1) * _WORD].hex()


def _feed(answer: bytes) -> FeedState:
    return FeedState(_word(answer, 0), _signed(answer, 1), _word(answer, 3))
