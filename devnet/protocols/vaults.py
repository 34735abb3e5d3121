"""The operators of the demo: for each one Safes whose vaults are open for a hot key.

Comes after everything else of the world and from accounts of its own, so that nothing else moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID
from devnet.errors import ChainFailed
from devnet.manifest import Operator, OperatorVault
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import USD, token
from devnet.protocols.site import Site
from governance.vaults import SafeTransaction, enable_module_call, open_vault_call
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, ChainId, TokenAmount, Wei

OPERATORS: Final = ("north", "east", "south", "west", "centre")
VAULTS_EACH: Final = 4
"""One hot key a vault, so one bundle a vault in each block."""
OWNERS_EACH: Final = 3
THRESHOLD: Final = 2
BID_CAP: Final = Wei(4 * 10**18)
"""More than a third of the largest finds: what is bid comes out of what they bring."""
HOT_KEY_ETHER: Final = 20
PINNED: Final = {"WETH": 400_000, "USDC": 400_000, "USDT": 400_000, "DAI": 400_000, "WBTC": 200_000}
"""What each Safe holds of each token in dollars; an execution may draw half of it."""
BUILDER: Final = "vault-builder"

_BUILDER_ETHER: Final = 4_000
_NOBODY: Final = "0x" + "00" * 20
_PROXY_CREATED: Final = "0x" + keccak256(b"ProxyCreation(address,address)").hex()
_TRANSFER: Final = "transfer(address,uint256)"
_CREATE: Final = "createProxyWithNonce(address,bytes,uint256)"
_SETUP: Final = "setup(address[],uint256,address,bytes,address,address,uint256,address)"


@dataclass(frozen=True, slots=True)
class _Planned:
    """A vault to be: whose, and the transaction that creates its Safe."""

    operator: str
    hot_key: str
    owners: tuple[Account, ...]
    creation: str


async def deploy(site: Site) -> None:
    """Create Safes, open their vaults, fund Safes and hot keys. Raises `ChainFailed`."""
    builder = account(BUILDER)
    await site.deployer.set_balance([builder.address], _BUILDER_ETHER * 10**18)
    planned = [_create_safe(site, builder, name, index) for name in OPERATORS for index in range(VAULTS_EACH)]
    safes = [await _created(site, vault.creation) for vault in planned]
    for vault, safe in zip(planned, safes, strict=True):
        _open(site, builder, vault, safe)
    _fund(site, builder, safes)
    keys = [account(vault.hot_key).address for vault in planned]
    await site.deployer.set_balance(keys, HOT_KEY_ETHER * 10**18)
    site.operators = [_operator(name, planned, safes) for name in OPERATORS]


def _create_safe(site: Site, builder: Account, name: str, index: int) -> _Planned:
    owners = tuple(account(f"{name}-owner-{number}") for number in range(OWNERS_EACH))
    addresses = [owner.address for owner in owners]
    handler = site.contracts["safe_fallback_handler"]
    setup = encode_call(_SETUP, addresses, THRESHOLD, _NOBODY, b"", handler, _NOBODY, 0, _NOBODY)
    factory, singleton = site.contracts["safe_proxy_factory"], site.contracts["safe_singleton"]
    salt = int.from_bytes(keccak256(f"{name}-{index}".encode()), "big")
    sent = site.deployer.call(factory, _CREATE, singleton, setup, salt, sender=builder)
    return _Planned(name, f"{name}-key-{index}", owners, sent)


async def _created(site: Site, creation: str) -> str:
    for log in (await site.deployer.receipt(creation))["logs"]:
        if log["topics"][0] == _PROXY_CREATED:
            return "0x" + str(log["topics"][1])[-40:]
    raise ChainFailed("building the world: an operator's Safe was not created")


def _open(site: Site, builder: Account, vault: _Planned, safe: str) -> None:
    module = site.contracts["vault_module"]
    limits = [(_raw(site.tokens[symbol]), TokenAmount(_held(symbol) // 2)) for symbol in PINNED]
    operator, executor = _raw(account(vault.hot_key).address), _raw(site.contracts["arb_executor"])
    opening = open_vault_call(operator, executor, BID_CAP, limits)
    for nonce, (to, data) in enumerate([(safe, enable_module_call(_raw(module))), (module, opening)]):
        transaction = SafeTransaction(_raw(to), data, nonce)
        digest = transaction.digest(ChainId(CHAIN_ID), _raw(safe))
        signatures = {_raw(owner.address): owner.key.sign_digest(digest) for owner in vault.owners[:THRESHOLD]}
        site.deployer.call_data(f"vault of {vault.hot_key}", safe, transaction.execution(signatures), sender=builder)


def _fund(site: Site, builder: Account, safes: list[str]) -> None:
    weth = site.tokens["WETH"]
    site.deployer.call(weth, "deposit()", sender=builder, value=_held("WETH") * len(safes))
    for safe in safes:
        site.deployer.call(weth, _TRANSFER, safe, _held("WETH"), sender=builder, gas=120_000)
    for symbol in PINNED:
        if symbol != "WETH":
            amounts = [_held(symbol)] * len(safes)
            site.deployer.call(site.tokens[symbol], "grant(address[],uint256[],address[])", safes, amounts, [])


def _operator(name: str, planned: list[_Planned], safes: list[str]) -> Operator:
    vaults = tuple(
        OperatorVault(safe=safe, hot_key=vault.hot_key)
        for vault, safe in zip(planned, safes, strict=True)
        if vault.operator == name
    )
    owners = tuple(f"{name}-owner-{number}" for number in range(OWNERS_EACH))
    return Operator(name=name, owners=owners, vaults=vaults, account=f"{name}-account", peer=f"{name}-peer")


def _held(symbol: str) -> int:
    return raw_amount(token(symbol), PINNED[symbol] * USD)


def _raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))
