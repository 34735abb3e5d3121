"""Uniswap V4: PoolManager, position manager, quoter, state view (package bytecode), Permit2, its pools and positions.

Pools have no hooks. One holds ether itself, as the busiest ones on mainnet do.
"""

from __future__ import annotations

import re
from typing import Final

from devnet.accounts import Account
from devnet.errors import ToolMissing
from devnet.manifest import Pool
from devnet.packages import Packages
from devnet.protocols.amounts import Position, positions, sqrt_price_x96
from devnet.protocols.catalogue import LIQUIDITY_PROVIDER, POOLS, POSITIONS, ROLES, TICK_SPACING, PoolSpec
from devnet.protocols.site import FAR_FUTURE, Site
from devnet.protocols.tokens import funded_accounts
from protocol.ethereum.abi import encode
from protocol.ethereum.keccak import keccak256

NATIVE: Final = "0x" + "00" * 20
"""How a pool's key names ether; and no hooks."""
PERMIT2: Final = "0x000000000022d473030f116ddee9f6b43ac78ba3"
"""Where it stands on every chain."""
KEY: Final = "(address,address,uint24,int24,address)"
ARTIFACTS: Final = "@uniswap/v4-periphery/foundry-out"

_PERMIT2_SOURCE: Final = "@uniswap/v4-periphery/lib/permit2/test/utils/DeployPermit2.sol"
_UNSUBSCRIBE_GAS: Final = 300_000
"""Mainnet's: the gas that a subscriber of a position is given when it is dropped."""
_ETHER_LABEL: Final = b"ETH".ljust(32, b"\0")
_MINT_POSITION, _SETTLE_PAIR, _SWEEP = 0x02, 0x0D, 0x14
_MINT_GAS: Final = 1_000_000
_APPROVE_GAS: Final = 80_000
_MAX_UINT128: Final = 2**128 - 1
_MAX_UINT160: Final = 2**160 - 1
_ENDLESS: Final = 2**48 - 1
_SLACK_WEI: Final = 10**12
"""Ether sent beyond a position's computed amount; what is not used comes back."""

Key = tuple[str, str, int, int, str]


def permit2_code(packages: Packages) -> bytes:
    """Return Permit2's runtime code, which the package carries as a literal. Raises `ToolMissing`."""
    path = packages.root / _PERMIT2_SOURCE
    try:
        found = re.search(r'hex"([0-9a-f]+)"', path.read_text("utf-8"))
    except OSError as error:
        raise ToolMissing(f"the source {path} cannot be read: {error.strerror}; install the packages again") from error
    if found is None:
        raise ToolMissing(f"{path} holds no bytecode: delete {packages.root.parent} and start again")
    return bytes.fromhex(found[1])


async def deploy(site: Site) -> None:
    """Put Permit2 where it is on every chain, queue the contracts, let the providers' tokens be taken by them."""
    await site.deployer.rpc.call("anvil_setCode", PERMIT2, "0x" + permit2_code(site.packages).hex())
    site.contracts["permit2"] = PERMIT2
    weth, admin = site.contracts["weth"], site.deployer.address
    manager_path = f"{ARTIFACTS}/PoolManager.sol/PoolManager.default.json"
    manager = site.create("uniswap_v4_pool_manager", manager_path, ("address",), admin)
    for name, contract in (("quoter", "V4Quoter"), ("state_view", "StateView")):
        site.create(f"uniswap_v4_{name}", f"{ARTIFACTS}/{contract}.sol/{contract}.json", ("address",), manager)
    descriptor = site.create(
        "uniswap_v4_position_descriptor",
        f"{ARTIFACTS}/PositionDescriptor.sol/PositionDescriptor.json",
        ("address", "address", "bytes32"),
        *(manager, weth, _ETHER_LABEL),
    )
    positions_address = site.create(
        "uniswap_v4_position_manager",
        f"{ARTIFACTS}/PositionManager.sol/PositionManager.json",
        ("address", "address", "uint256", "address", "address"),
        *(manager, PERMIT2, _UNSUBSCRIBE_GAS, descriptor, weth),
    )
    symbols = sorted({symbol for spec in _specs() for symbol in spec.symbols})
    approve, permit = "approve(address,uint256)", "approve(address,address,uint160,uint48)"
    for provider in _providers():
        for symbol in symbols:
            token = site.tokens[symbol]
            site.deployer.call(token, approve, PERMIT2, 2**256 - 1, sender=provider, gas=_APPROVE_GAS)
            arguments = (token, positions_address, _MAX_UINT160, _ENDLESS)
            site.deployer.call(PERMIT2, permit, *arguments, sender=provider, gas=_APPROVE_GAS)


async def open_pools(site: Site) -> None:
    """Initialise every V4 pool of the catalogue and mint its positions, spread over the liquidity providers."""
    role = next(role for role in ROLES if role.role == LIQUIDITY_PROVIDER)
    addresses = [provider.address for provider in _providers()]
    await site.deployer.set_balance(addresses, 2 * role.ether * 10**18)  # half of it goes into pools
    for index, spec in enumerate(_specs()):
        key = _key(site, spec)
        symbols = tuple(sorted(spec.symbols, key=lambda symbol: _currency(site, spec, symbol)))
        first_is_token0 = symbols == spec.symbols
        manager, price = site.contracts["uniswap_v4_pool_manager"], sqrt_price_x96(spec, first_is_token0)
        site.deployer.call(manager, f"initialize({KEY},uint160)", key, price)
        for turn, position in enumerate(positions(spec, first_is_token0, POSITIONS[spec.positions])):
            _mint(site, site.provider(index + turn), key, position)
        site.pools.append(
            Pool(
                name=spec.name,
                family=spec.family,
                address=manager,
                tokens=symbols,
                fee_pips=spec.fee_pips,
                pool_id="0x" + keccak256(encode((KEY,), (key,))).hex(),
                tick_spacing=TICK_SPACING[spec.fee_pips],
                native_ether=spec.native_ether,
            )
        )
    await site.deployer.flush()
    await site.deployer.set_balance(addresses, role.ether * 10**18)


def _mint(site: Site, owner: Account, key: Key, position: Position) -> None:
    """Queue one position; ether in it is sent along, and what it does not take is swept back."""
    value = position.amount0 + _SLACK_WEI if key[0] == NATIVE else 0
    ticks = (position.tick_lower, position.tick_upper)
    types = (KEY, "int24", "int24", "uint256", "uint128", "uint128", "address", "bytes")
    limits = (_MAX_UINT128, _MAX_UINT128)
    steps = [
        (_MINT_POSITION, encode(types, (key, *ticks, position.liquidity, *limits, owner.address, b""))),
        (_SETTLE_PAIR, encode(("address", "address"), key[:2])),
    ]
    if value:
        steps.append((_SWEEP, encode(("address", "address"), (NATIVE, owner.address))))
    actions, parameters = bytes(action for action, _ in steps), [parameter for _, parameter in steps]
    plan = encode(("bytes", "bytes[]"), (actions, parameters))
    manager = site.contracts["uniswap_v4_position_manager"]
    call = "modifyLiquidities(bytes,uint256)"
    site.deployer.call(manager, call, plan, FAR_FUTURE, sender=owner, value=value, gas=_MINT_GAS)


def _specs() -> list[PoolSpec]:
    return [spec for spec in POOLS if spec.family == "uniswap_v4"]


def _providers() -> tuple[Account, ...]:
    return funded_accounts(next(role for role in ROLES if role.role == LIQUIDITY_PROVIDER))


def _currency(site: Site, spec: PoolSpec, symbol: str) -> str:
    return NATIVE if spec.native_ether and symbol == "WETH" else site.tokens[symbol]


def _key(site: Site, spec: PoolSpec) -> Key:
    first, second = sorted(_currency(site, spec, symbol) for symbol in spec.symbols)
    return first, second, spec.fee_pips, TICK_SPACING[spec.fee_pips], NATIVE
