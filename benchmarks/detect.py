"""What the market state costs: rescans, updates, exact quotes, decoding, a block of swaps, memory, first load and
restart (`market_loading`); degenbot beside it.

The pools are those of `hotpath`'s generator. Nothing is pruned: a full rescan looks at every cycle of two and three
hops through a profit token. degenbot (0.3.0, its Python line; 0.5.0, which brings compiled code, where Python 3.12
or 3.13 is found) gets the same pools and is asked for the same quotes in turn; before anything is timed, its answers
must be ours to the unit. It has no screen over many cycles: what it does for each is compared with what we do for each.
"""

from __future__ import annotations

import gc
import resource
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from benchmarks.detect_peer import Peer, peers
from benchmarks.family_pools import STATES
from benchmarks.harness import Row, Samples, duration_row, measure, quiet_collector
from benchmarks.market_generator import (
    HEAD,
    NOW,
    SEED,
    GeneratedMarket,
    first_block,
    generate,
    opening,
    settings_of,
)
from benchmarks.market_loading import loading_rows
from devnet.actors import calls
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.decoders import decode_swaps
from node.pipeline.events import BlockArrived, PoolChange, PriceMoved, ReservesSet
from node.pipeline.overlay import Overlay
from node.pipeline.pools import PoolState, held_amounts, quote_exact_in, swap_exact_in
from node.pipeline.prices import virtual_reserves
from node.pipeline.reasons import Reason
from node.pipeline.settings import RouterKind
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds, UnixSeconds, address_to_hex

REPEATS: Final = 60
QUOTES: Final = 200
SWAPS: Final = 300
MOVED_PART: Final = 50
_OPENING: Final = 0.03
_AS_GOOD: Final = 1e-6
"""Our profit may be less than degenbot's by so much of it."""
_SENDER: Final = Address(b"\x0a" * 20)
_DEADLINE: Final = NOW // 10**9 + 600


def run() -> Sequence[Row]:
    """All rows."""
    rows: list[Row] = []
    market = generate()
    state, memory = _pipeline(market)
    with peers(market.pools) as beside:
        rows += _rescans(state, market, beside)
        rows += _updates(state, market)
        rows += _quotes(market, beside)
    rows += _sizing(market) + _other_quotes() + _decoding(market) + _block(market) + memory
    rows += loading_rows(market)
    return rows


def _pipeline(market: GeneratedMarket) -> tuple[PipelineState, list[Row]]:
    """A pipeline that knows the market, and what it takes of memory."""
    gc.collect()
    tracemalloc.start()
    state = PipelineState(settings_of(market, [_SENDER]), _no_call_data)
    for event in opening(market, [_SENDER]):
        step(state, event)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(market.pools)
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return state, [
        Row(f"market of {count:,} pools: bytes a pool beside its state", "B", held / count, held / count),
        Row("this process at its most so far", "MB", whole, whole),
    ]


def _no_call_data(**_: Any) -> bytes:
    return b""


def _rescans(state: PipelineState, market: GeneratedMarket, beside: Sequence[Peer]) -> list[Row]:
    rows = [_rescan(state, market)]
    for tokens in (600, 200):
        large = generate(pools=10_000, tokens=tokens)
        rows.append(_rescan(_pipeline(large)[0], large))
    # A cycle at a time: degenbot looks whether the rate pays, as our screen does.
    random = Random(SEED)
    chosen = [_cycle_asked(state, row) for row in random.choices(state.market.index.cycles.tolist(), k=QUOTES)]
    count = len(state.market.index.cycles)
    ours = [seconds / count for seconds in measure(state.search.everywhere, repeats=REPEATS)]
    for peer in beside:
        theirs = [peer.ask("cycles", chosen)[0] / len(chosen) for _ in range(REPEATS // 4)]
        rows.append(duration_row("screen one cycle among all of 2,000 pools", "ns", ours, theirs, peer.name))
    return rows


def _rescan(state: PipelineState, market: GeneratedMarket) -> Row:
    count = len(state.market.index.cycles)
    name = f"full rescan: {len(market.pools):,} pools, {count:,} cycles"
    return duration_row(name, "ms", measure(state.search.everywhere, repeats=REPEATS))


def _cycle_asked(state: PipelineState, row: Sequence[int]) -> list[Any]:
    edges = [state.market.edges[edge] for edge in row[:3] if edge >= 0]
    token = state.market.tokens[edges[0].token_in]
    return [address_to_hex(token), [edge.pool for edge in edges], str(10**30)]


def _updates(state: PipelineState, market: GeneratedMarket) -> list[Row]:
    """A new confirmed state of a pool, its rows, and the best cycles through it: not yet exact."""
    rows: list[Row] = []
    for name, kind in (("V2", ConstantProductPool), ("V3", ConcentratedPool)):
        number = _busiest(state, market, kind)
        before = market.pools[number][1]
        after, _ = swap_exact_in(before, 0, 1, virtual_reserves(before, 0, 1)[0] // MOVED_PART)
        edges = range(state.market.first_edge[number], state.market.first_edge[number + 1])
        turn = [after, before]

        def update(pool: int = number, of: Sequence[int] = edges, states: list[PoolState] = turn) -> None:
            states.reverse()
            state.market.set_state(pool, states[0])
            state.search.through(of)

        through = sum(int(state.market.index.offsets[edge + 1] - state.market.index.offsets[edge]) for edge in edges)
        samples = measure(update, repeats=20 * REPEATS)
        rows.append(duration_row(f"{name} pool update to candidates ({through} cycles)", "µs", samples))
        state.market.set_state(number, before)
    return rows


def _busiest(state: PipelineState, market: GeneratedMarket, kind: type) -> int:
    """The pool of the middle by how many cycles go through it, of those that any go through."""
    offsets, first = state.market.index.offsets, state.market.first_edge
    known = [
        (int(offsets[first[number + 1]] - offsets[first[number]]), number)
        for number, (_, pool) in enumerate(market.pools)
        if isinstance(pool, kind)
    ]
    used = sorted(pair for pair in known if pair[0])
    return used[len(used) // 2][1]


def _quotes(market: GeneratedMarket, beside: Sequence[Peer]) -> list[Row]:
    rows: list[Row] = []
    for name, kind in (("Uniswap V2", ConstantProductPool), ("Uniswap V3, 2 percent of the depth", ConcentratedPool)):
        chosen = [number for number, (_, pool) in enumerate(market.pools) if isinstance(pool, kind)][:QUOTES]
        states = [market.pools[number][1] for number in chosen]
        amounts = [virtual_reserves(pool, 0, 1)[0] // MOVED_PART for pool in states]
        asked = [
            [number, address_to_hex(market.pools[number][0].tokens[0]), str(amount)]
            for number, amount in zip(chosen, amounts, strict=True)
        ]

        def ours(pools: list[PoolState] = states, inputs: list[int] = amounts) -> list[int]:
            return [quote_exact_in(pool, 0, 1, amount) for pool, amount in zip(pools, inputs, strict=True)]

        rows += [_beside(f"exact quote, {name}", peer, "quotes", asked, ours, len(asked)) for peer in beside]
    pair = next(state for _, state in STATES if isinstance(state, SolidlyPool) and state.stable)
    inputs = [pair.reserve0 // part for part in range(20, 20 + QUOTES)]
    numbers = map(str, (pair.reserve0, pair.reserve1, pair.unit0, pair.unit1))
    told = [*numbers, [pair.fee, pair.fee_scale], list(map(str, inputs))]

    def stable() -> list[int]:
        return [quote_exact_in(pair, 0, 1, amount) for amount in inputs]

    rows += [_beside("exact quote, Aerodrome stable", peer, "stable", told, stable, len(inputs)) for peer in beside]
    return rows


def _beside(name: str, peer: Peer, kind: str, asked: list[Any], ours: Callable[[], list[int]], count: int) -> Row:
    """Quotes of both, in turn; raises where they differ."""
    if list(map(str, ours())) != peer.ask(kind, asked)[1]:
        raise ValueError(f"{name}: {peer.name} has other answers")
    mine: Samples = []
    theirs: Samples = []
    with quiet_collector():
        for _ in range(REPEATS // 2):
            mine.append(measure(ours, repeats=1, warm_up=0)[0] / count)
            theirs.append(peer.ask(kind, asked)[0] / count)
    return duration_row(name, "µs", mine, theirs, peer.name)


def _sizing(market: GeneratedMarket) -> list[Row]:
    """A cycle that a swap of three percent opened, made exact integers, beside degenbot's optimiser."""
    pools = list(market.pools)
    for number, (spec, pool) in enumerate(market.pools):
        pools[number] = (spec, swap_exact_in(pool, 0, 1, int(virtual_reserves(pool, 0, 1)[0] * _OPENING))[0])
        opened = replace(market, pools=tuple(pools))
        state, _ = _pipeline(opened)
        candidates = state.search.everywhere()
        if candidates:
            break
        pools[number] = (spec, pool)
    else:
        raise ValueError("no swap opens a cycle in this market")
    best, nothing = candidates[0], Overlay(state.market)
    asked = [_cycle_asked(state, best.edges)]
    rows: list[Row] = []
    with peers(opened.pools) as beside:
        for peer in beside:
            (profit,) = peer.ask("cycles", asked)[1]
            route = state.search.exact([best], nothing)
            if isinstance(route, Reason) or not profit or route.gain < int(profit) * (1 - _AS_GOOD):
                raise ValueError(f"the cycle brings {route} by us, {profit or 'nothing'} by {peer.name}")
            theirs = [peer.ask("cycles", asked)[0] for _ in range(REPEATS)]
            ours = measure(lambda: state.search.exact(state.search.through(best.edges), nothing), repeats=REPEATS)
            name = "find, size and make exact an open cycle"
            rows.append(duration_row(name, "µs", ours, theirs, f"{peer.name}, sizing alone"))
    return rows


def _other_quotes() -> list[Row]:
    rows: list[Row] = []
    for family, state in STATES:
        held = held_amounts(state)[0]
        amount = (held if held > 10**9 else 10**24) // 1_000
        last = 2 if len(held_amounts(state)) > 2 else 1

        def ask(pool: PoolState = state, out: int = last, given: int = amount) -> int:
            return quote_exact_in(pool, 0, out, given)

        name = f"exact quote, {family} ({type(state).__name__}, {len(held_amounts(state))} tokens)"
        rows.append(duration_row(name, "µs", measure(ask, repeats=REPEATS, calls=20)))
    return rows


def _decoding(market: GeneratedMarket) -> list[Row]:
    """One call of each router."""
    coin = market.tokens[0]
    path = [address_to_hex(token) for token in market.tokens[:3]]
    zero = "0x" + "00" * 20
    packed = calls.packed_path(path, [3000, 500])
    inner = calls.v3_exact_in(10**18, 1, path[:2], [3000], path[0], _DEADLINE)
    routes = [path[0], path[1], path[1], path[2], path[2], *[zero] * 6]
    universal = encode(["address", "uint256", "uint256", "bytes", "bool"], [path[0], 10**18, 1, packed, True])
    curve = "exchange(address[11],uint256[5][5],uint256,uint256)"
    pool_id = "0x" + "11" * 32
    vault = calls.vault_swap(pool_id, path[0], path[1], 10**18, 1, path[0], _DEADLINE, exact_out=False)
    data = {
        RouterKind.UNISWAP_V2: calls.v2_exact_in(10**18, 1, path, path[0], _DEADLINE, odd=False),
        RouterKind.UNISWAP_V3: encode_call("multicall(bytes[])", [encode_call("multicall(bytes[])", [inner])]),
        RouterKind.SWAP_ROUTER_02: encode_call("multicall(uint256,bytes[])", _DEADLINE, [_router_02(path)]),
        RouterKind.UNIVERSAL: encode_call("execute(bytes,bytes[],uint256)", b"\x00", [universal], _DEADLINE),
        RouterKind.BALANCER_V2: vault,
        RouterKind.CURVE: encode_call(curve, routes, [[0] * 5] * 5, 10**18, 1),
    }
    rows: list[Row] = []
    for kind, call_data in data.items():
        if not decode_swaps(kind, call_data, 0, coin):
            raise ValueError(f"the call of {kind} is not read")

        def decode(of: RouterKind = kind, what: bytes = call_data) -> object:
            return decode_swaps(of, what, 0, coin)

        rows.append(duration_row(f"decode a call of {kind}", "µs", measure(decode, repeats=REPEATS, calls=20)))
    return rows


def _router_02(path: list[str]) -> bytes:
    single = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
    return encode_call(single, (path[0], path[1], 3000, path[0], 10**18, 1, 0))


def _block(market: GeneratedMarket) -> list[Row]:
    """Blocks with a swap on each of 300 pools: applied, rescanned, and what is found made exact and planned for."""
    samples: Samples = []
    state, _ = _pipeline(market)
    random = Random(SEED)
    arrived = first_block(HEAD)
    with quiet_collector():
        for number in range(1, REPEATS // 2):
            changes = _swaps(state, market, random)
            arrived = _next(arrived, number, changes)
            samples += measure(lambda block=arrived: step(state, block), repeats=1, warm_up=0)  # type: ignore[misc]
    return [duration_row(f"a block of {SWAPS} swaps applied and rescanned, {len(market.pools):,} pools", "ms", samples)]


def _swaps(state: PipelineState, market: GeneratedMarket, random: Random) -> tuple[PoolChange, ...]:
    """Swaps of a ten-thousandth of each pool's depth, one way or the other."""
    changes: list[PoolChange] = []
    for number in random.sample(range(len(market.pools)), SWAPS):
        spec, pool = state.market.specs[number], state.market.states[number]
        into = random.randrange(2)
        if pool is None:
            raise ValueError("every pool's state is known here")
        after, _ = swap_exact_in(pool, into, 1 - into, max(1, virtual_reserves(pool, into, 1 - into)[0] // 10_000))
        if isinstance(after, ConcentratedPool):
            changes.append(PriceMoved(spec.id, after.sqrt_price_x96, after.liquidity, after.tick))
        elif isinstance(after, ConstantProductPool):
            changes.append(ReservesSet(spec.id, after.reserve0, after.reserve1))
    return tuple(changes)


def _next(before: BlockArrived, number: int, changes: tuple[PoolChange, ...]) -> BlockArrived:
    return BlockArrived(
        number=BlockNumber(before.number + 1),
        hash=Hash32(keccak256(before.hash)),
        parent_hash=before.hash,
        timestamp=UnixSeconds(before.timestamp + 12),
        base_fee=before.base_fee,
        gas_limit=before.gas_limit,
        gas_used=before.gas_used,
        pool_changes=changes,
        included=(),
        now=UnixNanoseconds(NOW + number * 12 * 10**9),
    )
