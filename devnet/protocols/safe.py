"""Safe 1.4.1: singletons, factory, handlers (package bytecode, mainnet's runtime) and one 2-of-3 Safe."""

from __future__ import annotations

from devnet.accounts import account
from devnet.errors import ChainFailed
from devnet.protocols.site import Site
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256

THRESHOLD = 2
OWNERS = ("safe-owner-0", "safe-owner-1", "safe-owner-2")
_ROOT = "@safe-global/safe-contracts/build/artifacts/contracts"
_ZERO = "0x" + "00" * 20
_PROXY_CREATED = "0x" + keccak256(b"ProxyCreation(address,address)").hex()


async def deploy(site: Site) -> None:
    """Create the contracts and the Safe of the three owners, `safe` in the manifest."""
    singleton = site.create("safe_singleton", f"{_ROOT}/Safe.sol/Safe.json")
    site.create("safe_singleton_l2", f"{_ROOT}/SafeL2.sol/SafeL2.json")
    factory = site.create("safe_proxy_factory", f"{_ROOT}/proxies/SafeProxyFactory.sol/SafeProxyFactory.json")
    handler_path = f"{_ROOT}/handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json"
    handler = site.create("safe_fallback_handler", handler_path)
    site.create("safe_multi_send", f"{_ROOT}/libraries/MultiSend.sol/MultiSend.json")
    site.create("safe_multi_send_call_only", f"{_ROOT}/libraries/MultiSendCallOnly.sol/MultiSendCallOnly.json")
    owners = [account(name).address for name in OWNERS]
    setup = encode_call(
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        *(owners, THRESHOLD, _ZERO, b"", handler, _ZERO, 0, _ZERO),
    )
    sent = site.deployer.call(factory, "createProxyWithNonce(address,bytes,uint256)", singleton, setup, 0)
    receipt = await site.deployer.receipt(sent)
    for log in receipt["logs"]:
        if log["topics"][0] == _PROXY_CREATED:
            site.contracts["safe"] = "0x" + str(log["topics"][1])[-40:]
            return
    raise ChainFailed("building the world: the Safe was not created")
