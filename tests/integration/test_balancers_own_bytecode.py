"""Stable pools of Balancer's own bytecode, read through the engine's reader: what the vault then pays is our quote."""

from __future__ import annotations

from typing import Any

import pytest
from pyrevm import EVM, AccountInfo, BlockEnv

from devnet.artifacts import load
from devnet.packages import Packages
from node.engine.multicall import Multicall
from node.engine.pool_reading import PoolReader, Unreadable
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, quote_exact_in
from protocol.ethereum.abi import decode, encode, encode_call, selector
from protocol.units import Address, Hash32
from tests.fake_chain_node import FakeNode, endpoints_to
from tests.fake_contracts import MULTICALL3

_TASKS = "@balancer-labs/v2-deployments/dist/tasks"
_OWNER, _NOBODY = "0x" + "11" * 20, "0x" + "00" * 20
_PROVIDER = "0x" + "b7" * 20
_TOKENS = ["0x" + f"a{number}" * 20 for number in range(3)]
_DECIMALS = dict(zip(_TOKENS, (18, 18, 6), strict=True))
_BLOCK = Hash32(b"\x01" * 32)
_BEGIN, _KEPT_SECONDS = 1_000_000, 10_800
_OLD_RATE, _NEW_RATE = 11 * 10**17, 1101 * 10**15
_QUERY = "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
_JOIN = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
# A token that answers its decimals, here one less, and one (yes) to everything else.
_TOKEN_CODE = "60003560e01c63313ce5671460{:02x}0260010160005260206000f3"


class Genuine:
    """The vault and one pool in memory, and a Multicall3 that asks them at a time."""

    def __init__(self, packages: Packages) -> None:
        self.packages, self.evm = packages, EVM()
        self.evm.set_balance(_OWNER, 10**24)
        self.at(_BEGIN)
        self.authorizer = self.deploy("20210418-authorizer", "Authorizer", ["address"], [_OWNER])
        windows = [self.authorizer, "0x" + "22" * 20, 90 * 86_400, 30 * 86_400]
        self.vault = self.deploy("20210418-vault", "Vault", ["address", "address", "uint256", "uint256"], windows)
        self.node = FakeNode(eth_call=self._call)
        self.spec = PoolSpec(b"", PoolFamily.BALANCER_V2_STABLE, Address(bytes(20)), (), 0)
        for address, decimals in _DECIMALS.items():
            self.put(address, _TOKEN_CODE.format(decimals - 1))
        self.rate(_OLD_RATE)

    def at(self, seconds: int) -> None:
        self.seconds = seconds
        self.evm.set_block_env(BlockEnv(timestamp=seconds))

    def put(self, address: str, code: str) -> None:
        self.evm.insert_account_info(address, AccountInfo(code=bytes.fromhex(code)))

    def rate(self, rate: int) -> None:
        self.put(_PROVIDER, f"7f{rate:064x}60005260206000f3")

    def deploy(self, task: str, name: str, types: list[str], values: list[Any]) -> str:
        creation = load(self.packages, f"{_TASKS}/{task}/artifact/{name}.json").creation
        return str(self.evm.deploy(_OWNER, creation + encode(types, values)))

    def send(self, to: str, signature: str, *values: Any) -> bytes:
        return bytes(self.evm.message_call(_OWNER, to, calldata=encode_call(signature, *values)))

    def ask(self, to: str, signature: str, kind: str, *values: Any) -> Any:
        return decode([kind], self.send(to, signature, *values))[0]

    def pool(self, factory: str, signature: str, *values: Any) -> None:
        """Create the pool, and put millions of each token into it."""
        pool = self.ask(factory, signature, "address", *values)
        pool_id = self.ask(pool, "getPoolId()", "bytes32")
        tokens = self.ask(self.vault, "getPoolTokens(bytes32)", "address[]", pool_id)
        own = self.ask(pool, "getBptIndex()", "uint256")
        amounts = [(3 + place) * 10 ** (6 + _DECIMALS.get(token, 18)) for place, token in enumerate(tokens)]
        amounts[own] = 2**111
        request = (list(tokens), [2**112 - 1] * len(tokens), encode(["uint256", "uint256[]"], [0, amounts]), False)
        self.send(self.vault, _JOIN, pool_id, _OWNER, _OWNER, request)
        held = tuple([Address(bytes.fromhex(token[2:])) for token in tokens])
        self.spec = PoolSpec(pool_id, PoolFamily.BALANCER_V2_STABLE, Address(bytes.fromhex(pool[2:])), held, 0)

    async def read(self, seconds_ahead: int = 0) -> PoolState | Unreadable:
        contracts = {PoolFamily.BALANCER_V2_WEIGHTED: Address(bytes.fromhex(self.vault[2:]))}
        reader = PoolReader(Multicall(endpoints_to([self.node]), MULTICALL3), contracts, seconds_ahead)
        return (await reader.read([self.spec], _BLOCK))[self.spec.id]

    def quoted(self, way: tuple[int, int], amount: int) -> int:
        """What the vault pays."""
        assets = ["0x" + self.spec.tokens[place].hex() for place in way]
        funds = (_NOBODY, False, _NOBODY, False)
        done, answer = self._result(
            self.vault, encode_call(_QUERY, 0, [(self.spec.id, 0, 1, amount, b"")], assets, funds)
        )
        assert done
        return -int(decode(["int256[]"], answer)[0][1])

    def _call(self, request: dict[str, Any], _block: Any) -> str:
        (calls,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(request["data"][10:]))
        return "0x" + encode(["(bool,bytes)[]"], [[self._result(to, data) for to, _, data in calls]]).hex()

    def _result(self, to: str, data: bytes) -> tuple[bool, bytes]:
        if to == "0x" + MULTICALL3.hex():
            return True, self.seconds.to_bytes(32, "big")
        before = self.evm.snapshot()
        try:
            return True, bytes(self.evm.message_call(_OWNER, to, calldata=data))
        except RuntimeError:
            return False, b""
        finally:
            self.evm.revert(before)


def _places(state: BalancerStablePool) -> tuple[int, int]:
    first, second = [place for place in range(len(state.balances)) if place != state.bpt_index][:2]
    return first, second


@pytest.fixture
def composable(packages: Packages) -> Genuine:
    """A composable stable pool, one of whose rates is kept for three hours."""
    scene = Genuine(packages)
    shares = [scene.vault, 5 * 10**17, 5 * 10**17]
    kinds = ["address", "uint256", "uint256"]
    fees = scene.deploy("20220725-protocol-fee-percentages-provider", "ProtocolFeePercentagesProvider", kinds, shares)
    task, kinds = "20230206-composable-stable-pool-v3", ["address", "address", "string", "string"]
    factory = scene.deploy(task, "ComposableStablePoolFactory", kinds, [scene.vault, fees, "", ""])
    create = "create(string,string,address[],uint256,address[],uint256[],bool[],uint256,address)"
    rates = ([_PROVIDER, _NOBODY], [_KEPT_SECONDS, 0], [False, False])
    scene.pool(factory, create, "P", "P", _TOKENS[:2], 200, *rates, 10**14 * 4, _OWNER)
    return scene


@pytest.mark.parametrize(("later", "ahead"), [(0, 0), (_KEPT_SECONDS, 0), (_KEPT_SECONDS + 1, 0), (_KEPT_SECONDS, 1)])
async def test_a_pool_pays_by_its_providers_rate_once_what_it_keeps_has_expired(
    composable: Genuine, later: int, ahead: int
) -> None:
    composable.rate(_NEW_RATE)
    composable.at(_BEGIN + later)
    state = await composable.read(ahead)
    assert isinstance(state, BalancerStablePool), state
    assert state.is_moving
    composable.at(_BEGIN + later + ahead)
    one, other = _places(state)
    for way in ((one, other), (other, one)):
        amount = state.balances[way[0]] // 999
        assert quote_exact_in(state, *way, amount) == composable.quoted(way, amount)


async def test_the_phantom_pools_of_2021_round_their_invariant_up(packages: Packages) -> None:
    scene = Genuine(packages)
    task = "deprecated/20211208-stable-phantom-pool"
    factory = scene.deploy(task, "StablePhantomPoolFactory", ["address"], [scene.vault])
    create = "create(string,string,address[],uint256,address[],uint256[],uint256,address)"
    scene.pool(factory, create, "P", "P", _TOKENS, 200, [_NOBODY] * 3, [0] * 3, 10**14 * 4, _OWNER)
    state = await scene.read()
    assert isinstance(state, BalancerStablePool), state
    assert (state.bpt_index is None, state.invariant_version) == (False, InvariantVersion.ROUNDING_UP)
    for part in (7, 99, 12_345):
        amount = state.balances[_places(state)[0]] // part
        assert quote_exact_in(state, *_places(state), amount) == scene.quoted(_places(state), amount)


async def test_a_paused_pool_is_not_quoted_until_it_goes_on(composable: Genuine) -> None:
    pool = "0x" + composable.spec.address.hex()
    for function in ("pause()", "unpause()"):
        action = composable.ask(pool, "getActionId(bytes4)", "bytes32", selector(function))
        composable.send(composable.authorizer, "grantRole(bytes32,address)", action, _OWNER)
    composable.send(pool, "pause()")
    assert await composable.read() == Unreadable("the pool is paused")
    composable.send(pool, "unpause()")
    assert isinstance(await composable.read(), BalancerStablePool)
