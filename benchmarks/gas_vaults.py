"""Vaults of one Safe, one a measured executor: the same module's code and the same funds for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.gas_routes import AMOUNT, EXECUTE_IN_VAULT
from benchmarks.gas_scene import ETHER, OPERATOR, WHALE, Scene, raw
from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.protocols.safe import OWNERS, THRESHOLD
from governance.contracts import VAULT_MODULE, contract
from governance.vaults import SafeTransaction, enable_module_call, open_vault_call
from protocol.ethereum.abi import decode, encode_call
from protocol.units import Address, ChainId, TokenAmount, Wei

_HELD: Final = 50 * ETHER


@dataclass(frozen=True, slots=True)
class Vault:
    """An open vault: its module, whose hot key is the scene's operator."""

    chain: Scene
    module: str

    def call(self, plan: bytes) -> bytes:
        """Return the call of the module that runs a plan, whatever the executor understands by it."""
        safe, weth = self.chain.contract("safe"), self.chain.token("WETH")
        return encode_call(EXECUTE_IN_VAULT, safe, weth, AMOUNT, plan)


async def open_vault(chain: Scene, executor_of: Callable[[Address], bytes]) -> Vault:
    """Create a module and, with the module's address, its executor; open the Safe's vault. Raises `ChainFailed`."""
    parameters = chain.contract("network_parameters")
    module = await chain.create(contract(VAULT_MODULE).creation(("address",), (parameters,)))
    executor = await chain.create(executor_of(raw(module)))
    safe = chain.contract("safe")
    await _by_owners(chain, safe, enable_module_call(raw(module)))
    limits = [(raw(chain.token("WETH")), TokenAmount(_HELD))]
    await _by_owners(chain, module, open_vault_call(raw(OPERATOR.address), raw(executor), Wei(ETHER), limits))
    return Vault(chain, module)


async def fill_safe(chain: Scene) -> None:
    """Give the Safe what its vaults draw from. Raises `ChainFailed`."""
    await chain.call(WHALE, chain.token("WETH"), "transfer(address,uint256)", chain.contract("safe"), _HELD)


async def _by_owners(chain: Scene, to: str, data: bytes) -> None:
    """Let the Safe make a call that enough owners have signed."""
    safe = chain.contract("safe")
    answer = await chain.rpc.call("eth_call", {"to": safe, "data": "0x" + encode_call("nonce()").hex()}, "latest")
    (nonce,) = decode(["uint256"], bytes.fromhex(answer[2:]))
    transaction = SafeTransaction(raw(to), data, int(nonce))
    digest = transaction.digest(ChainId(CHAIN_ID), raw(safe))
    owners = [account(name) for name in OWNERS[:THRESHOLD]]
    signatures = {raw(owner.address): owner.key.sign_digest(digest) for owner in owners}
    await chain.send(owners[0], safe, transaction.execution(signatures))
