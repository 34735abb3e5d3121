"""Balancer V2: authorizer, vault, fee provider, factories (package bytecode), weighted and composable stable pools."""

from __future__ import annotations

from devnet.errors import ChainFailed
from devnet.manifest import Pool
from devnet.protocols.amounts import reserves
from devnet.protocols.catalogue import POOLS, PoolSpec
from devnet.protocols.site import Site
from protocol.ethereum.abi import encode
from protocol.ethereum.keccak import keccak256

_TASKS = "@balancer-labs/v2-deployments/dist/tasks"
_PAUSE_SECONDS, _BUFFER_SECONDS = 90 * 86_400, 30 * 86_400
"""Mainnet's: how long the vault may be paused after its deployment, and for how long."""
_FEE_CEILING = 5 * 10**17
_PIP = 10**12
"""One pip (1e-6) in Balancer's 18-decimal fee."""
_JOIN_INIT = 0
_POOL_GAS = 12_000_000
_JOIN_GAS = 2_000_000
_POOL_CREATED = "0x" + keccak256(b"PoolCreated(address)").hex()
_ZERO = "0x" + "00" * 20


def deploy(site: Site) -> None:
    """Queue the contracts, wired as on mainnet: the factories ask the vault and the fee percentages provider."""
    admin, weth = site.deployer.address, site.contracts["weth"]
    authorizer = site.create("balancer_authorizer", _path("20210418-authorizer", "Authorizer"), ("address",), admin)
    types = ("address", "address", "uint256", "uint256")
    vault_path = _path("20210418-vault", "Vault")
    vault = site.create("balancer_vault", vault_path, types, authorizer, weth, _PAUSE_SECONDS, _BUFFER_SECONDS)
    site.create("balancer_queries", _path("20220721-balancer-queries", "BalancerQueries"), ("address",), vault)
    provider = site.create(
        "balancer_protocol_fees_provider",
        _path("20220725-protocol-fee-percentages-provider", "ProtocolFeePercentagesProvider"),
        ("address", "uint256", "uint256"),
        vault,
        _FEE_CEILING,
        _FEE_CEILING,
    )
    factories = (
        ("balancer_weighted_pool_factory", "20230206-weighted-pool-v3", "WeightedPoolFactory"),
        ("balancer_stable_pool_factory", "20230206-composable-stable-pool-v3", "ComposableStablePoolFactory"),
    )
    for name, task, contract in factories:
        types = ("address", "address", "string", "string")
        site.create(
            name, _path(task, contract), types, vault, provider, f"{contract} {task}", f"{contract[:-7]} {task}"
        )


async def open_pools(site: Site) -> None:
    """Create every Balancer pool of the catalogue and make its first join."""
    for index, spec in enumerate(spec for spec in POOLS if spec.family.startswith("balancer_v2")):
        order = sorted(range(len(spec.symbols)), key=lambda i: site.tokens[spec.symbols[i]])
        pool = await _create(site, spec, order)
        pool_id, *_ = await site.deployer.read(pool, "getPoolId()", ["bytes32"])
        signature, returns = "getPoolTokens(bytes32)", ["address[]", "uint256[]", "uint256"]
        assets, *_ = await site.deployer.read(site.contracts["balancer_vault"], signature, returns, pool_id)
        amounts = {site.tokens[spec.symbols[i]]: reserves(spec)[i] for i in order}
        _join(site, index, pool_id, assets, [amounts.get(asset, 0) for asset in assets], pool)
        site.pools.append(
            Pool(
                name=spec.name,
                family=spec.family,
                address=pool,
                tokens=tuple(spec.symbols[i] for i in order),
                fee_pips=spec.fee_pips,
                pool_id="0x" + pool_id.hex(),
            )
        )
    await site.deployer.flush()


async def _create(site: Site, spec: PoolSpec, order: list[int]) -> str:
    """Create one pool; its own pool token joins a stable pool's tokens, in the vault's order of addresses."""
    tokens = [site.tokens[spec.symbols[i]] for i in order]
    title = f"Devnet {'-'.join(spec.symbols[i] for i in order)}"
    symbol = "-".join(spec.symbols[i] for i in order)
    none, fee, owner = [_ZERO] * len(tokens), spec.fee_pips * _PIP, site.deployer.address
    if spec.weights:
        factory = site.contracts["balancer_weighted_pool_factory"]
        signature = "create(string,string,address[],uint256[],address[],uint256,address)"
        weights = [spec.weights[i] for i in order]
        sent = site.deployer.call(factory, signature, title, symbol, tokens, weights, none, fee, owner, gas=_POOL_GAS)
    else:
        factory = site.contracts["balancer_stable_pool_factory"]
        signature = "create(string,string,address[],uint256,address[],uint256[],bool[],uint256,address)"
        caches = (none, [0] * len(tokens), [False] * len(tokens))
        arguments = (title, symbol, tokens, spec.amplification, *caches, fee, owner)
        sent = site.deployer.call(factory, signature, *arguments, gas=_POOL_GAS)
    receipt = await site.deployer.receipt(sent)
    for log in receipt["logs"]:
        if log["topics"][0] == _POOL_CREATED:
            return "0x" + str(log["topics"][1])[-40:]
    raise ChainFailed(f"building the world: {spec.name} announced no pool")


def _join(site: Site, index: int, pool_id: bytes, assets: tuple[str, ...], amounts: list[int], pool: str) -> None:
    provider = site.provider(index)
    user_data = encode(["uint256", "uint256[]"], [_JOIN_INIT, amounts])
    limits = [2**256 - 1 if asset == pool else amount for asset, amount in zip(assets, amounts, strict=True)]
    request = (list(assets), limits, user_data, False)
    signature = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
    arguments = (pool_id, provider.address, provider.address, request)
    site.deployer.call(site.contracts["balancer_vault"], signature, *arguments, sender=provider, gas=_JOIN_GAS)


def _path(task: str, contract: str) -> str:
    return f"{_TASKS}/{task}/artifact/{contract}.json"
