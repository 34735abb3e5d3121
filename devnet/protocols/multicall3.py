"""Multicall3 at its canonical address, by the transaction that deployed it on every chain ("Nick's method").

The signature was published with Multicall3 (github.com/mds1/multicall3). Only over exactly mainnet's creation code does
it recover to the sender of that deployment, so the canonical address is itself the proof that the code is genuine.
"""

from __future__ import annotations

from typing import Final

from devnet.errors import ChainFailed
from devnet.protocols.site import Site
from protocol.ethereum import rlp
from protocol.ethereum.create2 import create_address
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, recover_address

ADDRESS: Final = "0xca11bde05977b3631167028862be2a173976ca11"
RUNTIME_HASH: Final = "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891"
_SIGNATURE: Final = Signature(
    0xEDCE47092C0F398CEBF3FFC267F05C8E7076E3B89445E0FE50F6332273D4569B,
    0x1B0B9D000E19B24C5869B0FC3B22B0D6FA47CD63316875CBBD577D76E6FDE086,
    1,
)
_GAS_PRICE: Final = 100 * 10**9
_GAS: Final = 1_000_000


async def deploy(site: Site) -> None:
    """Fund the keyless sender and queue its transaction. Raises `ChainFailed` if the code is not mainnet's."""
    fields: list[rlp.RlpItem] = [
        rlp.encode_int(0),
        rlp.encode_int(_GAS_PRICE),
        rlp.encode_int(_GAS),
        b"",
        rlp.encode_int(0),
        site.compiled["Multicall3"].creation,
    ]
    sender = recover_address(keccak256(rlp.encode(fields)), _SIGNATURE)
    if create_address(sender, 0) != ADDRESS:
        raise ChainFailed("the compiled Multicall3 is not mainnet's: its published signature does not fit")
    v, r, s = (rlp.encode_int(n) for n in (27 + _SIGNATURE.y_parity, _SIGNATURE.r, _SIGNATURE.s))
    await site.deployer.set_balance([sender], _GAS * _GAS_PRICE)
    site.deployer.raw("create multicall3", rlp.encode([*fields, v, r, s]), _GAS)
    site.contracts["multicall3"] = ADDRESS
