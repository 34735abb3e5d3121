"""Records the actors' tape while they play in lockstep, and lets the nonces of bundles rise past what missed.

A bundle that misses leaves its nonce to the next one. On a tape that cannot be: which bundles land differs from run to
run, and one that missed would keep out all later ones of its account. So no bundle has a nonce of an earlier one, and
before a bundle is offered the chain is told to count from its first nonce, in the recording as in every playback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devnet.accounts import account as named_account
from devnet.actors.tape import Tape, TapedBlock, TapedBundle, TapedTransaction, write_tape
from devnet.actors.wallet import Signed, SignedBundle
from devnet.rpc import RpcClient


class BundleNonces:
    """Raises accounts' nonces on the chain itself: only the devnet's own Anvil does that. `chain` speaks to it."""

    def __init__(self, chain: RpcClient) -> None:
        self._chain = chain

    async def raise_to(self, own: Sequence[TapedTransaction]) -> None:
        """Let the chain count from these transactions' first nonces. Raises `RpcError`, `ChainFailed`."""
        for account in dict.fromkeys(one.account for one in own):
            first = min(one.nonce for one in own if one.account == account)
            await self._chain.call("anvil_setNonce", named_account(account).address, hex(first))


class TapeRecorder:
    """Keeps what is sent for `blocks` blocks, then writes it; what comes later is not on the tape."""

    def __init__(self, path: Path, blocks: int, *, chain_id: int, seed: int, nonces: BundleNonces) -> None:
        self._path, self._most, self._chain_id, self._seed = path, blocks, chain_id, seed
        self._nonces = nonces
        self._blocks: list[TapedBlock] = []
        self._transactions: list[TapedTransaction] = []
        self._bundles: list[TapedBundle] = []

    def transaction(self, signed: Signed) -> None:
        """Note a transaction that the mempool took."""
        self._transactions.append(taped(signed))

    async def bundle(self, bundle: SignedBundle) -> None:
        """Note a bundle, and let the chain be ready for it. Raises as `BundleNonces.raise_to`."""
        intent, own = bundle.intent, tuple(taped(signed) for signed in bundle.own)
        await self._nonces.raise_to(own)
        self._bundles.append(
            TapedBundle(actor=intent.actor, action=intent.action, raws=bundle.raws, own=own, detail=dict(intent.detail))
        )

    def end(self, block: int) -> None:
        """Close a block; the last that is wanted writes the tape. Raises `StorageFailed`."""
        if len(self._blocks) < self._most:
            self._blocks.append(
                TapedBlock(number=block, transactions=tuple(self._transactions), bundles=tuple(self._bundles))
            )
            if len(self._blocks) == self._most:
                write_tape(self._path, Tape(chain_id=self._chain_id, seed=self._seed, blocks=tuple(self._blocks)))
        self._transactions.clear()
        self._bundles.clear()


def taped(signed: Signed) -> TapedTransaction:
    """Return a signed transaction as it is on a tape."""
    intent = signed.intent
    return TapedTransaction(
        actor=intent.actor,
        action=intent.action,
        account=intent.account,
        nonce=signed.nonce,
        raw=signed.raw,
        detail=dict(intent.detail),
    )
