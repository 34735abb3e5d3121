"""From intents to signed transactions: nonces, fees, signatures; and which of them are still out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors.intents import BundleIntent, Foreign, Intent
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee

PATIENCE_BLOCKS: Final = 6
"""After so many blocks a transaction counts as lost and its account's nonce is read again."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction of ours."""

    intent: Intent
    raw: bytes
    hash: str
    nonce: int
    block: int
    """The block it was meant for."""


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle ready for the builders; `own` are our transactions in it."""

    intent: BundleIntent
    raws: tuple[bytes, ...]
    hashes: tuple[str, ...]
    own: tuple[Signed, ...]
    block: int


@dataclass(slots=True)
class _AccountNonce:
    confirmed: int
    out: dict[int, Signed] = field(default_factory=dict)

    def next(self) -> int:
        """The first nonce that is neither used nor out."""
        nonce = self.confirmed
        while nonce in self.out:
            nonce += 1
        return nonce


class Wallet:
    """Signs for the named accounts. Bounded: an account has at most what it sends in `PATIENCE_BLOCKS` out."""

    def __init__(self, chain_id: int, nonces: Mapping[str, int]) -> None:
        self._chain_id = chain_id
        self._nonces = {name: _AccountNonce(nonce) for name, nonce in nonces.items()}
        self._by_hash: dict[str, Signed] = {}

    def sign(self, intent: Intent, block: int, base_fee: int) -> Signed:
        """Sign with the account's next nonce and keep count of it until it is mined, refused or lost."""
        nonces = self._nonces[intent.account]
        signed = self._sign(intent, nonces.next(), block, base_fee)
        nonces.out[signed.nonce] = signed
        self._by_hash[signed.hash] = signed
        return signed

    def adopt(self, signed: Signed) -> None:
        """Keep count of a transaction that was signed before, in another run."""
        self._nonces[signed.intent.account].out[signed.nonce] = signed
        self._by_hash[signed.hash] = signed

    def sign_bundle(self, bundle: BundleIntent, block: int, base_fee: int) -> SignedBundle:
        """Sign a bundle's own parts with the nonces they have if it lands; nothing is kept count of."""
        raws: list[bytes] = []
        hashes: list[str] = []
        own: list[Signed] = []
        used: dict[str, int] = {}
        for part in bundle.parts:
            if isinstance(part, Foreign):
                raws.append(part.raw)
                hashes.append(part.hash)
                continue
            nonce = used.get(part.account, self._nonces[part.account].next())
            used[part.account] = nonce + 1
            signed = self._sign(part, nonce, block, base_fee)
            own.append(signed)
            raws.append(signed.raw)
            hashes.append(signed.hash)
        return SignedBundle(bundle, tuple(raws), tuple(hashes), tuple(own), block)

    def refused(self, signed: Signed) -> None:
        """Forget a transaction that the node did not take: its nonce is free again."""
        self._nonces[signed.intent.account].out.pop(signed.nonce, None)
        self._by_hash.pop(signed.hash, None)

    def mined(self, hashes: Iterable[str]) -> list[Signed]:
        """Note what a block holds; return which of it was signed by `sign`, in the block's order."""
        found = [signed for transaction in hashes if (signed := self._by_hash.pop(transaction, None)) is not None]
        for signed in found:
            self._settle(signed)
        return found

    def landed(self, bundle: SignedBundle) -> None:
        """Note that a bundle is in a block."""
        for signed in bundle.own:
            self._settle(signed)

    def lost(self, block: int) -> list[Signed]:
        """Forget and return what has been out for longer than `PATIENCE_BLOCKS`; read these accounts' nonces again."""
        old = [signed for signed in self._by_hash.values() if block - signed.block > PATIENCE_BLOCKS]
        for signed in old:
            self.refused(signed)
        return old

    def correct(self, account: str, nonce: int) -> None:
        """Take over an account's nonce as the chain has it."""
        self._nonces[account].confirmed = nonce

    def _settle(self, signed: Signed) -> None:
        nonces = self._nonces[signed.intent.account]
        nonces.out.pop(signed.nonce, None)
        nonces.confirmed = max(nonces.confirmed, signed.nonce + 1)

    def _sign(self, intent: Intent, nonce: int, block: int, base_fee: int) -> Signed:
        fields = DynamicFeeFields(
            chain_id=self._chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=intent.tip,
            # Twice the base fee holds for some five full blocks in a row (EIP-1559: at most an eighth more in each).
            max_fee_per_gas=2 * base_fee + intent.tip,
            gas_limit=intent.gas_limit,
            to=intent.to,
            value=intent.value,
            data=intent.data,
        )
        raw = sign_dynamic_fee(fields, named_account(intent.account).key)
        return Signed(intent, raw, "0x" + keccak256(raw).hex(), nonce, block)
