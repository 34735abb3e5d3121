"""Balancer's Vault in its own bytecode: what it does with a call is what the decoder reads, amounts and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from random import Random
from typing import Any, NamedTuple

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.pipeline.decoders import RoutedSwap, decode_swaps
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState, held_amounts, swap_exact_in, swap_exact_out
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import ZERO_ADDRESS, Address, address_from_hex, address_to_hex
from tests.chain import Chain
from tests.integration.test_logs_tell_the_state import Follower

pytestmark = pytest.mark.anvil

WHALE = account("whale-0")
FAR_FUTURE = 1 << 40
MOST = (1 << 255) - 1
ROUNDS = 3
_FUNDS = "(address,bool,address,bool)"
SWAP = f"swap((bytes32,uint8,address,address,uint256,bytes),{_FUNDS},uint256,uint256)"
BATCH = f"batchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],{_FUNDS},int256[],uint256)"
_SWAPPED = "0x" + keccak256(b"Swap(bytes32,address,address,uint256,uint256)").hex()
_ETHER = address_to_hex(ZERO_ADDRESS)


class Leg(NamedTuple):
    """One swap through one pool, as it was executed, or as we say that it will be."""

    pool_id: PoolId
    token_in: Address
    token_out: Address
    amount_in: int
    amount_out: int


class Way(NamedTuple):
    """Two pools with a token in common, and the tokens on the way through both."""

    first: PoolSpec
    second: PoolSpec
    tokens: tuple[Address, Address, Address]


class Stage:
    """The Vault, its pools as they are after every call, and somebody who calls it."""

    def __init__(self, chain: Chain, world: World, follower: Follower, specs: Sequence[PoolSpec]) -> None:
        self.chain, self.specs, self.follower = chain, {spec.id: spec for spec in specs}, follower
        self.vault, self.weth = world.manifest.contracts["balancer_vault"], world.manifest.contracts["weth"]
        self.reached = 0

    async def does_as_decoded(self, data: bytes, value: int = 0) -> list[Leg]:
        """Send the call; the Vault must do, leg by leg and to the unit, what the decoder read."""
        expected = self.foretold(self.decoded(data, value))
        receipt = await self._send(data, value)
        assert receipt["status"] == "0x1"
        executed = [_leg(log) for log in receipt["logs"] if log["topics"][0] == _SWAPPED]
        assert executed == expected
        assert await self.follower.follow() > 0
        self.reached += 1
        return executed

    async def is_refused_as_decoded(self, data: bytes) -> None:
        """Send a call with limits that its amounts just miss: both refuse it."""
        (swap,) = self.decoded(data, 0)
        legs = self.foretold([swap])
        assert legs[-1].amount_out < swap.limit if swap.exact_in else legs[-1].amount_in > swap.limit
        assert (await self._send(data, 0))["status"] == "0x0"
        self.reached += 1

    def decoded(self, data: bytes, value: int) -> Sequence[RoutedSwap]:
        """What the decoder reads in a call."""
        swaps = decode_swaps(RouterKind.BALANCER_V2, data, value, address_from_hex(self.weth))
        assert swaps
        assert all(swap.deadline == FAR_FUTURE for swap in swaps)
        return swaps

    def foretold(self, swaps: Sequence[RoutedSwap]) -> list[Leg]:
        """The legs in the order of their execution, on the states as they are, by our own maths."""
        states: dict[PoolId, PoolState] = dict(self.follower.states)
        return [leg for swap in swaps for leg in _legs(swap, self.specs, states)]

    async def _send(self, data: bytes, value: int) -> dict[str, Any]:
        return await self.chain.send_data(WHALE, self.vault, data, value)

    def ways(self) -> Iterator[Way]:
        """All ways through two pools."""
        for first, second in permutations(self.specs.values(), 2):
            for middle in set(_tokens(first)) & set(_tokens(second)):
                into = next(token for token in _tokens(first) if token != middle)
                out_of = [token for token in _tokens(second) if token not in (middle, into)]
                if out_of:
                    yield Way(first, second, (into, middle, out_of[0]))

    def part(self, spec: PoolSpec, token: Address, random: Random) -> int:
        """Some part of what a pool holds of a token."""
        held = held_amounts(self.follower.states[spec.id])[_tokens(spec).index(token)]
        return max(1, held * random.randrange(1, 300) // 10_000 + random.randrange(1_000))


def _tokens(spec: PoolSpec) -> tuple[Address, ...]:
    return spec.traded_tokens


def _legs(swap: RoutedSwap, specs: Mapping[PoolId, PoolSpec], states: dict[PoolId, PoolState]) -> list[Leg]:
    """The legs of one decoded swap in the order in which the Vault makes them, each on the state that the last left."""
    legs: list[Leg] = []
    amount = swap.amount
    for key in swap.keys if swap.exact_in else reversed(swap.keys):
        pool_id, token_in, token_out = key[:32], Address(key[32:52]), Address(key[52:])
        indices = (_tokens(specs[pool_id]).index(token_in), _tokens(specs[pool_id]).index(token_out))
        move = swap_exact_in if swap.exact_in else swap_exact_out
        states[pool_id], moved = move(states[pool_id], *indices, amount)
        legs.append(Leg(pool_id, token_in, token_out, moved.amount_in, moved.amount_out))
        amount = moved.amount_out if swap.exact_in else moved.amount_in
    return legs


def _leg(log: Mapping[str, Any]) -> Leg:
    pool_id, *tokens = (bytes.fromhex(topic[2:]) for topic in log["topics"][1:])
    words = bytes.fromhex(log["data"][2:])
    amounts = int.from_bytes(words[:32], "big"), int.from_bytes(words[32:], "big")
    return Leg(pool_id, Address(tokens[0][12:]), Address(tokens[1][12:]), *amounts)


def single(spec: PoolSpec, kind: int, assets: tuple[str, str], amount: int, limit: int) -> bytes:
    """`swap`: kind 0 is an exact input, 1 an exact output."""
    return encode_call(SWAP, (spec.id, kind, *assets, amount, b""), _funds(), limit, FAR_FUTURE)


def batch(
    kind: int, steps: Sequence[tuple[bytes, int, int, int]], assets: Sequence[str], limits: Sequence[int]
) -> bytes:
    """`batchSwap`: steps are (pool, index in, index out, amount)."""
    return encode_call(BATCH, kind, [(*step, b"") for step in steps], list(assets), _funds(), list(limits), FAR_FUTURE)


def _funds() -> tuple[str, bool, str, bool]:
    return WHALE.address, False, WHALE.address, False


@pytest.fixture
async def stage(chain: Chain, world_anvil: Anvil, world: World) -> Any:
    endpoints = Endpoints.open([RpcConfig(http=world_anvil.url, websocket=world_anvil.url)], SystemClock())
    follower = Follower(chain, endpoints, world)
    specs = await follower.begin(PoolFamily.BALANCER_V2_WEIGHTED, PoolFamily.BALANCER_V2_STABLE)
    made = Stage(chain, world, follower, specs)
    for token in {token for spec in specs for token in _tokens(spec)}:
        await chain.send(WHALE, address_to_hex(token), "approve(address,uint256)", made.vault, MOST)
    yield made
    await endpoints.close()


async def test_a_swap_of_either_kind_moves_what_is_read_in_it(stage: Stage) -> None:
    random = Random(5)
    for spec in stage.specs.values():
        assets = address_to_hex(_tokens(spec)[0]), address_to_hex(_tokens(spec)[1])
        for kind, limit, of in ((0, 0, 0), (1, MOST, 1)):
            amount = stage.part(spec, _tokens(spec)[of], random)
            (leg,) = await stage.does_as_decoded(single(spec, kind, assets, amount, limit))
            assert (leg.amount_in, leg.amount_out)[kind] == amount
            met = leg.amount_out + 1 if kind == 0 else leg.amount_in - 1
            # The price is worse by now: what the last one just met is missed.
            await stage.is_refused_as_decoded(single(spec, kind, assets, amount, met))
    assert stage.reached == 4 * len(stage.specs) >= 8


async def test_a_deadline_of_zero_has_passed_to_the_decoder_as_to_the_vault(stage: Stage) -> None:
    spec = next(iter(stage.specs.values()))
    assets = address_to_hex(_tokens(spec)[0]), address_to_hex(_tokens(spec)[1])
    part, data = stage.part(spec, _tokens(spec)[0], Random(3)), (_funds(), 0)
    late = encode_call(SWAP, (spec.id, 0, *assets, part, b""), *data, 0)
    steps = [(spec.id, 0, 1, part, b"")]
    late_batch = encode_call(BATCH, 0, steps, list(assets), _funds(), [MOST, MOST], 0)
    for call in (late, late_batch):
        (swap,) = decode_swaps(RouterKind.BALANCER_V2, call, 0, address_from_hex(stage.weth))
        assert swap.deadline == 1
        receipt = await stage.chain.send_data(WHALE, stage.vault, call)
        assert receipt["status"] == "0x0"


async def test_ether_is_the_wrapped_coin_to_the_decoder_as_to_the_vault(stage: Stage) -> None:
    weth = address_from_hex(stage.weth)
    (spec, *_) = [spec for spec in stage.specs.values() if weth in _tokens(spec)]
    other = address_to_hex(next(token for token in _tokens(spec) if token != weth))
    (bought,) = await stage.does_as_decoded(single(spec, 0, (_ETHER, other), 10**18, 0), value=10**18)
    (sold,) = await stage.does_as_decoded(single(spec, 1, (other, _ETHER), 10**17, MOST))
    assert (bought.token_in, bought.amount_in) == (weth, 10**18)
    assert (sold.token_out, sold.amount_out) == (weth, 10**17)


async def test_a_batch_along_one_path_carries_each_amount_on_and_keeps_its_limits(stage: Stage) -> None:
    random, ways = Random(7), list(stage.ways())
    assert ways
    for way in random.sample(ways, min(ROUNDS, len(ways))):
        assets = [address_to_hex(token) for token in way.tokens]
        amount = stage.part(way.first, way.tokens[0], random) // 3 + 1
        forwards = [(way.first.id, 0, 1, amount), (way.second.id, 1, 2, 0)]
        first, second = await stage.does_as_decoded(batch(0, forwards, assets, [MOST, MOST, 0]))
        assert (first.amount_in, first.amount_out) == (amount, second.amount_in)
        await stage.is_refused_as_decoded(batch(0, forwards, assets, [MOST, MOST, -second.amount_out - 1]))
        amount = stage.part(way.second, way.tokens[2], random) // 3 + 1
        backwards = [(way.second.id, 1, 2, amount), (way.first.id, 0, 1, 0)]
        last, before = await stage.does_as_decoded(batch(1, backwards, assets, [MOST, MOST, MOST]))
        assert (last.amount_out, last.amount_in) == (amount, before.amount_out)
        await stage.is_refused_as_decoded(batch(1, backwards, assets, [before.amount_in - 1, MOST, MOST]))


async def test_a_batch_of_several_paths_is_read_path_by_path(stage: Stage) -> None:
    random, ways = Random(9), list(stage.ways())
    way = random.choice(ways)
    assets = [address_to_hex(token) for token in way.tokens]
    amounts = [stage.part(way.first, way.tokens[0], random) // 5 + number for number in (1, 2)]
    steps = [(way.first.id, 0, 1, amounts[0]), (way.second.id, 1, 2, 0), (way.first.id, 0, 1, amounts[1])]
    legs = await stage.does_as_decoded(batch(0, steps, assets, [MOST, MOST, MOST]))
    assert [leg.pool_id for leg in legs] == [way.first.id, way.second.id, way.first.id]
    assert (legs[0].amount_in, legs[2].amount_in) == (amounts[0], amounts[1])
