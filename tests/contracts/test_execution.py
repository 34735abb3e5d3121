"""A vault on the devnet's world, from deployment to profit: everything packed, signed and read in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.errors import RpcError
from devnet.manifest import Manifest
from devnet.protocols import uniswap_v4
from devnet.protocols.venue_bindings import executor_bindings
from devnet.world import World
from governance.contracts import (
    ARB_EXECUTOR,
    VAULT_MODULE,
    contract,
    error_meanings,
    executor_creation,
)
from governance.executor import (
    AaveLiquidation,
    AaveLoan,
    BalancerHop,
    BalancerLoan,
    ConcentratedHop,
    ConcentratedLoan,
    CurveHop,
    Hop,
    Loan,
    MorphoLiquidation,
    MorphoLoan,
    PairHop,
    PairVenue,
    Plan,
    SingletonHop,
    encode_execution,
)
from governance.reverts import Revert, explain_revert
from governance.vaults import (
    Change,
    ChangeKind,
    SafeTransaction,
    enable_module_call,
    enact_call,
    open_vault_call,
    propose_call,
    tighten_call,
)
from protocol.units import Address, BlockNumber, ChainId, TokenAmount, Wei
from tests.chain import Chain

pytestmark = pytest.mark.anvil

ETHER = 10**18
ALICE, WHALE = account("operator-0"), account("whale-0")
OWNERS = tuple(account(f"safe-owner-{index}") for index in range(2))
BALANCER_POOL = "balancer_v2_weighted:WETH/USDC:3000"


def raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


@dataclass(frozen=True)
class Vault:
    """A Safe whose vault is open for Alice."""

    chain: Chain
    manifest: Manifest
    module: str

    @property
    def safe(self) -> str:
        return self.manifest.contracts["safe"]

    def token(self, symbol: str) -> Address:
        return raw(self.manifest.token(symbol).address)

    async def plan(self, *hops: Hop, loan: Loan | None = None, minimum: int = 0, payment: int = 0) -> Plan:
        head = int(await self.chain.rpc.call("eth_blockNumber"), 16)
        return Plan(
            last_block=BlockNumber(head + 1),
            minimum_profit=TokenAmount(minimum),
            builder_payment=Wei(payment),
            loan=loan,
            hops=hops,
        )

    def calldata(self, drawn: int, plan: Plan) -> bytes:
        return encode_execution(raw(self.safe), self.token("WETH"), TokenAmount(drawn), plan)

    async def why_not(self, drawn: int, plan: Plan, sender: str = ALICE.address) -> Revert:
        """What an execution that must fail says."""
        request = {"from": sender, "to": self.module, "data": "0x" + self.calldata(drawn, plan).hex()}
        with pytest.raises(RpcError) as caught:
            await self.chain.rpc.call("eth_call", request, "latest")
        return explain_revert(
            bytes.fromhex(str(caught.value.data or "0x")[2:]), error_meanings(VAULT_MODULE, ARB_EXECUTOR)
        )

    async def weth(self) -> int:
        return await self.chain.balance(self.manifest.token("WETH").address, self.safe)


async def by_safe(chain: Chain, safe: str, to: str, data: bytes) -> None:
    """Two owners sign, the first one sends."""
    (nonce,) = await chain.read(safe, "nonce()", ["uint256"])
    transaction = SafeTransaction(raw(to), data, int(nonce))
    digest = transaction.digest(ChainId(CHAIN_ID), raw(safe))
    signatures = {raw(owner.address): owner.key.sign_digest(digest) for owner in OWNERS}
    receipt = await chain.send_data(OWNERS[0], safe, transaction.execution(signatures))
    assert receipt["status"] == "0x1"


@pytest.fixture
async def vault(chain: Chain, world: World) -> Vault:
    """The world's Safe with 50 WETH, its vault opened; WETH has just been made dear on Uniswap V2."""
    manifest = world.manifest
    weth, usdc, safe = (manifest.token("WETH").address, manifest.token("USDC").address, manifest.contracts["safe"])
    parameters = manifest.contracts["network_parameters"]
    module = await chain.create(ALICE, contract(VAULT_MODULE).creation(("address",), (parameters,)))
    executor = await chain.create(
        ALICE, executor_creation(replace(executor_bindings(manifest.contracts), module=raw(module)))
    )
    await by_safe(chain, safe, safe, enable_module_call(raw(module)))
    limits = [(raw(weth), TokenAmount(20 * ETHER)), (raw(usdc), TokenAmount(0))]
    opening = open_vault_call(raw(ALICE.address), raw(executor), Wei(ETHER), limits)
    await by_safe(chain, safe, module, opening)
    await chain.send(WHALE, weth, "transfer(address,uint256)", safe, 50 * ETHER)
    swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    router = manifest.contracts["uniswap_v2_router"]
    await chain.send(WHALE, router, swap, 900_000 * 10**6, 0, [usdc, weth], WHALE.address, 2**40)
    return Vault(chain, manifest, module)


async def pair_quote(vault: Vault, router: str, path: list[str], amount: int) -> int:
    tokens = [vault.manifest.token(symbol).address for symbol in path]
    signature, address = "getAmountsOut(uint256,address[])", vault.manifest.contracts[router]
    (amounts,) = await vault.chain.read(address, signature, ["uint256[]"], amount, tokens)
    return int(amounts[-1])


async def singleton_quote(vault: Vault, hop: SingletonHop, dollars: int) -> int:
    weth = uniswap_v4.NATIVE if hop.in_ether else vault.manifest.token("WETH").address
    usdc = vault.manifest.token("USDC").address
    first, second = sorted((weth, usdc))
    key = (first, second, hop.fee_pips, hop.tick_spacing, uniswap_v4.NATIVE)
    signature = f"quoteExactInputSingle(({uniswap_v4.KEY},bool,uint128,bytes))"
    question = (key, usdc < weth, dollars, b"")
    quoter = vault.manifest.contracts["uniswap_v4_quoter"]
    return int((await vault.chain.read(quoter, signature, ["uint256", "uint256"], question))[0])


async def quote(vault: Vault, hop: Hop, dollars: int) -> int:
    """What the genuine contracts themselves say that dollars buy."""
    weth, usdc = vault.manifest.token("WETH").address, vault.manifest.token("USDC").address
    if isinstance(hop, PairHop):
        return await pair_quote(vault, "sushi_router", ["USDC", "WETH"], dollars)
    if isinstance(hop, ConcentratedHop):
        signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
        returns = ["uint256", "uint160", "uint32", "uint256"]
        question = (usdc, weth, dollars, hop.fee_pips, 0)
        quoter = vault.manifest.contracts["uniswap_v3_quoter"]
        return int((await vault.chain.read(quoter, signature, returns, question))[0])
    if isinstance(hop, SingletonHop):
        return await singleton_quote(vault, hop, dollars)
    assert isinstance(hop, BalancerHop)
    shape = "(bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool)"
    single = (hop.pool_id, 0, usdc, weth, dollars, b"")
    funds = (WHALE.address, False, WHALE.address, False)
    queries = vault.manifest.contracts["balancer_queries"]
    return int((await vault.chain.read(queries, f"querySwap({shape})", ["uint256"], single, funds))[0])


def buying(vault: Vault, kind: str) -> Hop:
    """The second hop, back into WETH."""
    weth, nothing = vault.token("WETH"), TokenAmount(0)
    if kind == "sushi":
        return PairHop(venue=PairVenue.SUSHI_SWAP, token_out=weth, minimum_out=nothing)
    if kind == "v3":
        return ConcentratedHop(token_out=weth, fee_pips=500, minimum_out=nothing)
    if kind == "v4":
        return SingletonHop(token_out=weth, fee_pips=3_000, tick_spacing=60, in_ether=False, minimum_out=nothing)
    if kind == "v4 in ether":
        return SingletonHop(token_out=weth, fee_pips=500, tick_spacing=10, in_ether=True, minimum_out=nothing)
    pool = next(pool for pool in vault.manifest.pools if pool.name == BALANCER_POOL)
    return BalancerHop(token_out=weth, pool_id=bytes.fromhex(pool.pool_id[2:]), minimum_out=nothing)


def selling(vault: Vault) -> PairHop:
    return PairHop(venue=PairVenue.UNISWAP_V2, token_out=vault.token("USDC"), minimum_out=TokenAmount(1))


def loan_of(vault: Vault, lender: str, amount: int) -> tuple[Loan | None, int]:
    """A loan and its fee in wei."""
    if lender == "balancer":
        return BalancerLoan(TokenAmount(amount)), 0
    if lender == "aave":
        return AaveLoan(TokenAmount(amount)), (amount * 5 + 5_000) // 10_000
    if lender == "v3":
        return ConcentratedLoan(TokenAmount(amount), vault.token("DAI"), 3_000), -(-amount * 3_000 // 10**6)
    return None, 0


@pytest.mark.parametrize(
    ("lender", "second"),
    [
        ("balancer", "v3"),
        ("balancer", "sushi"),
        ("aave", "balancer"),
        ("v3", "v3"),
        ("nobody", "balancer"),
        ("aave", "v4"),
        ("nobody", "v4 in ether"),
    ],
)
async def test_the_profit_of_two_hops_lands_in_the_safe_to_the_wei(vault: Vault, lender: str, second: str) -> None:
    amount, payment = 7 * ETHER, 10**15
    loan, fee = loan_of(vault, lender, amount)
    hop = buying(vault, second)
    dollars = await pair_quote(vault, "uniswap_v2_router", ["WETH", "USDC"], amount)
    expected = await quote(vault, hop, dollars) - amount - fee - payment
    before, coinbase = await vault.weth(), (await head(vault))["miner"]
    paid_before = await ether(vault, coinbase)
    plan = await vault.plan(selling(vault), hop, loan=loan, minimum=expected, payment=payment)
    receipt = await vault.chain.send_data(ALICE, vault.module, vault.calldata(0 if loan else amount, plan))
    assert receipt["status"] == "0x1"
    assert await vault.weth() - before == expected > 0
    assert await ether(vault, coinbase) - paid_before == payment


async def test_a_hop_on_curves_kind_packed_in_python_is_what_the_pool_pays(vault: Vault) -> None:
    amount, pool = 3 * ETHER, vault.manifest.contracts["curve_stable_pool"]
    dollars = await pair_quote(vault, "uniswap_v2_router", ["WETH", "USDC"], amount)
    (dai,) = await vault.chain.read(pool, "get_dy(int128,int128,uint256)", ["uint256"], 1, 0, dollars)
    expected = await pair_quote(vault, "sushi_router", ["DAI", "WETH"], dai) - amount
    exchange = CurveHop(
        token_out=vault.token("DAI"),
        pool=raw(pool),
        coin_in=1,
        coin_out=0,
        is_crypto=False,
        minimum_out=TokenAmount(dai),
    )
    before = await vault.weth()
    plan = await vault.plan(selling(vault), exchange, buying(vault, "sushi"), minimum=expected)
    receipt = await vault.chain.send_data(ALICE, vault.module, vault.calldata(amount, plan))
    assert receipt["status"] == "0x1"
    assert await vault.weth() - before == expected > 0


async def test_liquidations_packed_in_python_bring_more_than_the_debt(vault: Vault) -> None:
    manifest, chain = vault.manifest, vault.chain
    aggregator = manifest.aggregators["WETH"]
    (latest,) = await chain.read(aggregator, "latestRound()", ["uint256"])
    price = manifest.token("WETH").usd_price_e8 * 97 // 100
    await chain.send(account("oracle-0"), aggregator, "submit(uint256,int256)", latest + 1, price)
    market, weth = manifest.morpho_markets[0], vault.token("WETH")
    borrower = account(market.borrowers[0]).address
    position, returns = "position(bytes32,address)", ["uint256", "uint128", "uint128"]
    market_id = bytes.fromhex(market.id[2:])
    _, shares, _ = await chain.read(manifest.contracts["morpho"], position, returns, market_id, borrower)
    nothing = TokenAmount(0)
    on_morpho = MorphoLiquidation(
        token_out=weth,
        borrower=raw(borrower),
        oracle=raw(market.oracle),
        irm=raw(market.irm),
        lltv=market.lltv,
        repaid_shares=shares // 10,
        minimum_out=nothing,
    )
    on_aave = AaveLiquidation(token_out=weth, borrower=raw(account("borrower-0").address), minimum_out=nothing)
    back = ConcentratedHop(token_out=vault.token("USDC"), fee_pips=500, minimum_out=nothing)
    usdc = manifest.token("USDC").address
    for liquidation in (on_morpho, on_aave):
        before = await chain.balance(usdc, vault.safe)
        loan = MorphoLoan(TokenAmount(30_000 * 10**6))
        plan = await vault.plan(liquidation, back, loan=loan, minimum=10**9)
        data = encode_execution(raw(vault.safe), vault.token("USDC"), TokenAmount(0), plan)
        receipt = await chain.send_data(ALICE, vault.module, data)
        assert receipt["status"] == "0x1"
        assert await chain.balance(usdc, vault.safe) - before >= 10**9


async def head(vault: Vault) -> dict[str, Any]:
    block: dict[str, Any] = await vault.chain.rpc.call("eth_getBlockByNumber", "latest", False)
    return block


async def ether(vault: Vault, address: str) -> int:
    return int(await vault.chain.rpc.call("eth_getBalance", address, "latest"), 16)


async def test_a_plan_that_asks_for_too_much_says_so_and_costs_the_safe_nothing(vault: Vault) -> None:
    before = await vault.weth()
    plan = await vault.plan(selling(vault), buying(vault, "v3"), minimum=10**30)
    assert (await vault.why_not(ETHER, plan)).name == "ProfitBelowMinimum"
    receipt = await vault.chain.send_data(ALICE, vault.module, vault.calldata(ETHER, plan))
    assert receipt["status"] == "0x0"
    assert await vault.weth() == before


async def test_what_the_vault_forbids_is_told_by_name(vault: Vault) -> None:
    plan = await vault.plan(selling(vault), buying(vault, "v3"))
    assert (await vault.why_not(21 * ETHER, plan)).name == "DrawAboveMaximum"
    assert (await vault.why_not(ETHER, plan, sender=WHALE.address)).name == "NotOperator"
    too_dear = await vault.plan(selling(vault), buying(vault, "v3"), payment=2 * ETHER)
    assert (await vault.why_not(ETHER, too_dear)).name == "BidAboveCap"
    late = await vault.plan(selling(vault), buying(vault, "v3"))
    await vault.chain.mine()
    await vault.chain.mine()
    assert (await vault.why_not(ETHER, late)).name == "PlanExpired"


async def test_an_owner_pauses_the_vault_at_once(vault: Vault) -> None:
    pause = tighten_call(raw(vault.safe), Change(kind=ChangeKind.PAUSE, value=1))
    receipt = await vault.chain.send_data(OWNERS[1], vault.module, pause)
    assert receipt["status"] == "0x1"
    plan = await vault.plan(selling(vault), buying(vault, "v3"))
    assert (await vault.why_not(ETHER, plan)).words == "The vault is paused."


async def test_the_safe_loosens_its_vault_after_48_hours(vault: Vault) -> None:
    resume = Change(kind=ChangeKind.PAUSE, value=0)
    pause = tighten_call(raw(vault.safe), Change(kind=ChangeKind.PAUSE, value=1))
    assert (await vault.chain.send_data(OWNERS[1], vault.module, pause))["status"] == "0x1"
    await by_safe(vault.chain, vault.safe, vault.module, propose_call(resume))
    early = await vault.chain.send_data(WHALE, vault.module, enact_call(raw(vault.safe), resume))
    assert early["status"] == "0x0"
    due = int((await head(vault))["timestamp"], 16) + 48 * 3_600
    await vault.chain.rpc.call("evm_setNextBlockTimestamp", due)
    await vault.chain.rpc.call("evm_mine")
    receipt = await vault.chain.send_data(WHALE, vault.module, enact_call(raw(vault.safe), resume))
    assert receipt["status"] == "0x1"
    plan = await vault.plan(selling(vault), buying(vault, "v3"))
    receipt = await vault.chain.send_data(ALICE, vault.module, vault.calldata(ETHER, plan))
    assert receipt["status"] == "0x1"
