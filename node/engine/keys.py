"""The hot keys, out of their keystores, into signers."""

from __future__ import annotations

from node.config import Config
from node.engine.signer import Signer, SigningLimits
from node.keyfile import KeystoreError, Password, PasswordUnusable, read_keystore
from protocol.units import Address


def signers_of(config: Config, password: Password | None) -> dict[Address, Signer]:
    """Return a signer a vault, by its address, in the order of the configuration.

    Raises KeystoreError, also where two vaults share a key.
    """
    if password is None:
        raise PasswordUnusable("the engine got no password for its keystores")
    execution = config.execution
    limits = SigningLimits(config.chain.id, execution.vault_module, config.limits.max_daily_spend)
    signers: dict[Address, Signer] = {}
    for vault in execution.vaults:
        signer = Signer(read_keystore(vault.keystore, password), limits)
        if signer.address in signers:
            raise KeystoreError(f"two vaults have the key of keystore {vault.keystore}: each needs one of its own")
        signers[signer.address] = signer
    return signers
