"""The world: as large and as balanced as planned, the same every time, and never loaded when it is damaged."""

from __future__ import annotations

import itertools
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil, AnvilOptions
from devnet.errors import StorageFailed
from devnet.home import Home
from devnet.manifest import Pool
from devnet.packages import Packages
from devnet.protocols.catalogue import POOLS, ROLES
from devnet.protocols.tokens import SPENDERS
from devnet.rpc import RpcClient
from devnet.state import StateStore
from devnet.storage import write_checked
from devnet.world import World, build_world, ensure_world, world_key
from protocol.ethereum.abi import decode, encode_call
from tests.chain import Chain
from tests.conftest import quiet

pytestmark = pytest.mark.anvil

PIPS = 10**6
STABLE_PROBE_USD = 100


@dataclass(frozen=True)
class Heard:
    """A `Progress` that remembers."""

    lines: list[str]

    def __call__(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def other_home(home: Home, packages: Packages, tmp_path: Path) -> Home:
    """A home without a world, with the compiled contracts of the shared one."""
    other = Home(tmp_path / "home")
    other.root.mkdir()
    if home.builds.is_dir():
        shutil.copytree(home.builds, other.builds)
    return other


@pytest.fixture
async def stored(other_home: Home, packages: Packages, world: World) -> StateStore:
    """The shared world, copied into a home of its own."""
    folder = other_home.worlds / world_key(packages)
    shutil.copytree(world.state_path.parent, folder)
    return StateStore(folder)


def test_there_are_about_fifty_pools_over_twelve_tokens(world: World) -> None:
    assert len(world.manifest.tokens) == 12
    assert 45 <= len(world.manifest.pools) <= 55
    assert {pool.family for pool in world.manifest.pools} == {
        "uniswap_v2",
        "sushi_v2",
        "uniswap_v3",
        "uniswap_v4",
        "curve_stable",
        "balancer_v2_weighted",
        "balancer_v2_stable",
    }
    kinds = [token.kind for token in world.manifest.tokens]
    assert {"plain", "fee_on_transfer", "rebasing", "reverting"} == set(kinds)
    assert {token.decimals for token in world.manifest.tokens} == {2, 6, 8, 18}


async def test_two_fresh_builds_are_the_same_to_the_hash_of_the_last_block(
    home: Home, packages: Packages, world: World
) -> None:
    manifest, _ = await build_world(home, packages, quiet)
    assert manifest == world.manifest


async def test_a_loaded_world_goes_on_where_it_stopped(untouched_chain: Chain, world: World) -> None:
    head = await untouched_chain.rpc.call("eth_getBlockByNumber", hex(world.manifest.block_number), False)
    assert head["hash"] == world.manifest.block_hash
    assert int(head["timestamp"], 16) == world.manifest.block_timestamp


async def test_time_goes_on_from_the_last_block_after_a_load(chain: Chain, world: World) -> None:
    await chain.rpc.call("evm_mine")
    head = await chain.rpc.call("eth_getBlockByNumber", "latest", False)
    assert 0 <= int(head["timestamp"], 16) - world.manifest.block_timestamp < 600


async def test_every_account_has_its_ether_tokens_and_approvals(untouched_chain: Chain, world: World) -> None:
    holders = [account(name) for names in world.manifest.funded.values() for name in names]
    spenders = [world.manifest.contracts[name] for name in SPENDERS]
    calls = [
        (token.address, False, encode_call("allowance(address,address)", holder.address, spender))
        for token in world.manifest.tokens
        for holder in holders
        for spender in spenders
    ]
    (results,) = await untouched_chain.read(
        world.manifest.contracts["multicall3"], "aggregate3((address,bool,bytes)[])", ["(bool,bytes)[]"], calls
    )
    assert {decode(["uint256"], data)[0] for _, data in results} == {2**256 - 1}
    for role in ROLES:
        for name in world.manifest.funded[role.role]:
            balance = await untouched_chain.rpc.call("eth_getBalance", account(name).address, "latest")
            assert role.ether * 10**18 - 10**17 <= int(balance, 16) <= role.ether * 10**18


async def test_the_deepest_uniswap_v3_pool_has_many_initialised_ticks(untouched_chain: Chain, world: World) -> None:
    pool = next(pool for pool in world.manifest.pools if pool.name == "uniswap_v3:WETH/USDC:500")
    calls = [
        (pool.address, False, encode_call("tickBitmap(int16)", word)) for word in range(-347, 347)
    ]  # all words of spacing 10
    (results,) = await untouched_chain.read(
        world.manifest.contracts["multicall3"], "aggregate3((address,bool,bytes)[])", ["(bool,bytes)[]"], calls
    )
    assert sum(int.from_bytes(data, "big").bit_count() for _, data in results) >= 20


async def test_no_cycle_of_up_to_four_swaps_pays_at_the_start(untouched_chain: Chain, world: World) -> None:
    best: dict[tuple[str, str], Decimal] = {}
    for pool in world.manifest.pools:
        for sold, bought in itertools.permutations(pool.tokens, 2):
            rate = await marginal_rate(untouched_chain, world, pool, sold, bought)
            assert Decimal("0.97") < rate < Decimal("1.03"), (pool.name, sold, rate)
            best[sold, bought] = max(rate, best.get((sold, bought), Decimal(0)))
    symbols = sorted({symbol for pair in best for symbol in pair})
    cycles = [cycle for length in (2, 3, 4) for cycle in itertools.permutations(symbols, length)]
    gains = []
    for cycle in cycles:
        gain = Decimal(1)
        for sold, bought in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            gain *= best.get((sold, bought), Decimal(0))
        gains.append((gain, cycle))
    assert max(gains)[0] < 1, max(gains)
    assert max(gains)[0] > Decimal("0.998")  # but a trade of some size opens one


async def marginal_rate(chain: Chain, world: World, pool: Pool, sold: str, bought: str) -> Decimal:
    """Dollars out per dollar in, after the fee, of an infinitely small swap (a small one for stable pools)."""
    tokens = {symbol: world.manifest.token(symbol) for symbol in (sold, bought)}
    dollars = {s: Decimal(token.usd_price_e8).scaleb(-8 - token.decimals) for s, token in tokens.items()}
    fee = 1 - Decimal(pool.fee_pips) / PIPS
    if pool.family == "uniswap_v3":
        slot0 = ["uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool"]
        root = Decimal((await chain.read(pool.address, "slot0()", slot0))[0]) / 2**96
        price = root**2 if sold == pool.tokens[0] else 1 / root**2
    elif pool.family == "uniswap_v4":
        view, slot0 = world.manifest.contracts["uniswap_v4_state_view"], ["uint160", "int24", "uint24", "uint24"]
        root = Decimal((await chain.read(view, "getSlot0(bytes32)", slot0, bytes.fromhex(pool.pool_id[2:])))[0]) / 2**96
        price = root**2 if sold == pool.tokens[0] else 1 / root**2
    elif pool.family == "curve_stable":
        amount, ends = STABLE_PROBE_USD * 10 ** tokens[sold].decimals, map(pool.tokens.index, (sold, bought))
        (out,) = await chain.read(pool.address, "get_dy(int128,int128,uint256)", ["uint256"], *ends, amount)
        price, fee = Decimal(int(out)) / amount, Decimal(1)
    elif pool.family in ("uniswap_v2", "sushi_v2"):
        reserves = await chain.read(pool.address, "getReserves()", ["uint112", "uint112", "uint32"])
        price = Decimal(reserves[pool.tokens.index(bought)]) / Decimal(reserves[pool.tokens.index(sold)])
    elif pool.family == "balancer_v2_weighted":
        vault, pool_id = world.manifest.contracts["balancer_vault"], bytes.fromhex(pool.pool_id[2:])
        returns = ["address[]", "uint256[]", "uint256"]
        _, balances, _ = await chain.read(vault, "getPoolTokens(bytes32)", returns, pool_id)
        (weights,) = await chain.read(pool.address, "getNormalizedWeights()", ["uint256[]"])
        i, o = pool.tokens.index(sold), pool.tokens.index(bought)
        price = Decimal(balances[o] * weights[i]) / Decimal(balances[i] * weights[o])
    else:
        amount = STABLE_PROBE_USD * 10 ** tokens[sold].decimals
        shape = "(bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool)"
        single = (bytes.fromhex(pool.pool_id[2:]), 0, tokens[sold].address, tokens[bought].address, amount, b"")
        funds = (account("trader-0").address, False, account("trader-0").address, False)
        queries = world.manifest.contracts["balancer_queries"]
        (out,) = await chain.read(queries, f"querySwap({shape})", ["uint256"], single, funds)
        price, fee = Decimal(int(out)) / amount, Decimal(1)
    rate: Decimal = price * fee * dollars[bought] / dollars[sold]
    return rate


def test_every_pool_of_the_catalogue_is_there(world: World) -> None:
    assert sorted(pool.name for pool in world.manifest.pools) == sorted(spec.name for spec in POOLS)


async def test_a_stored_world_is_loaded_and_not_built_again(
    stored: StateStore, other_home: Home, packages: Packages, world: World
) -> None:
    heard = Heard([])
    found = await ensure_world(other_home, packages, heard)
    assert found.manifest == world.manifest
    assert heard.lines == []


@pytest.mark.parametrize("damage", ["cut", "altered", "without checksum", "manifest of another version"])
async def test_a_damaged_world_is_noticed_said_and_built_again(
    damage: str, stored: StateStore, other_home: Home, packages: Packages, world: World
) -> None:
    state, manifest = stored.state_path, stored.manifest_path
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:-1000])
    elif damage == "altered":
        state.write_bytes(state.read_bytes().replace(b"0x1", b"0x2", 1))
    elif damage == "without checksum":
        state.with_name("state.json.sha256").unlink()
    else:
        write_checked(manifest, b"{}")
    heard = Heard([])
    found = await ensure_world(other_home, packages, heard)
    assert "building it again" in heard.lines[0]
    assert found.manifest == world.manifest
    options = AnvilOptions(load_state=found.state_path)
    async with Anvil(packages.anvil, options, other_home.root / "log") as anvil, RpcClient(anvil.url) as rpc:
        assert int(await rpc.call("eth_blockNumber"), 16) == world.manifest.block_number


async def test_a_world_whose_manifest_was_never_written_is_built(
    stored: StateStore, other_home: Home, packages: Packages, world: World
) -> None:
    stored.manifest_path.unlink()
    assert (await ensure_world(other_home, packages, quiet)).manifest == world.manifest


async def test_the_lock_of_a_dead_process_holds_nobody_up(
    stored: StateStore, other_home: Home, packages: Packages
) -> None:
    (stored.state_path.parent / ".lock").write_text("4194304")
    stored.manifest_path.unlink()
    await ensure_world(other_home, packages, quiet)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file may grow past `size`: what a full disk looks like to us and to our children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_said_and_leaves_no_half_world(other_home: Home, packages: Packages) -> None:
    with files_of_at_most(1_500_000), pytest.raises(StorageFailed, match="no room left"):
        await ensure_world(other_home, packages, quiet)
    folder = other_home.worlds / world_key(packages)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert [path.name for path in other_home.root.iterdir() if path.name.startswith(".building")] == []


async def test_a_home_that_cannot_be_written_is_named(packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(StorageFailed, match="HFTNODE_HOME"):
        await ensure_world(Home(tmp_path / "home"), packages, quiet)
