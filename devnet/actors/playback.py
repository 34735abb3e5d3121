"""Plays a tape in lockstep: the same bytes for the same blocks, whatever the chain makes of them.

The journals are written as where the actors play themselves; beside it the actors' journal has, for each block, the
hashes of what was sent for it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from devnet.accounts import account as named_account
from devnet.actors.announcements import Announcements, StageAnnounced
from devnet.actors.cast import FLOW_PARTICIPANT, PARTICIPANTS
from devnet.actors.gateway import Gateway
from devnet.actors.intents import BundleIntent, Foreign, Intent
from devnet.actors.journal import Journal
from devnet.actors.outcomes import Outcomes
from devnet.actors.settling import Settling
from devnet.actors.stages import pass_stage, taking_part
from devnet.actors.tape import Tape, TapedBlock, TapedBundle, TapedTransaction
from devnet.actors.taping import BundleNonces
from devnet.actors.wallet import Signed, SignedBundle, Wallet
from devnet.errors import ChainFailed, RpcError
from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import decode_transaction

_SEARCHERS: Final = tuple(name for name, stage in PARTICIPANTS if stage)


class Playback:
    """One run over one chain. `counts` has blocks, what was sent and what was refused at once."""

    def __init__(
        self,
        *,
        tape: Tape,
        websocket_url: str,
        rpc: RpcClient,
        gateway: Gateway,
        nonces: BundleNonces,
        wallet: Wallet,
        outcomes: Outcomes,
        journal: Journal,
    ) -> None:
        self._tape, self._websocket_url, self._rpc, self._gateway = tape, websocket_url, rpc, gateway
        self._nonces, self._wallet, self._outcomes, self._journal = nonces, wallet, outcomes, journal
        self._settling = Settling(rpc, wallet, outcomes)
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Play until cancelled; past the end of the tape nothing is sent. Raises `ChainFailed`, `RpcError`."""
        blocks = {block.number: block for block in self._tape.blocks}
        first = self._tape.blocks[0].number
        async with Announcements(self._websocket_url, lockstep=True) as announcements, taking_part(self._rpc):
            async for at in announcements:
                if not isinstance(at, StageAnnounced):
                    continue
                if not self.counts["blocks"] and at.block != first:
                    raise ChainFailed(f"the tape begins with block {first}, the chain is at block {at.block}")
                block = blocks.get(at.block, TapedBlock(number=at.block, transactions=(), bundles=()))
                if at.stage == 0:
                    await self._settling.settle(at.block - 1, announcements)
                    await self._send(block)
                    await pass_stage(self._rpc, FLOW_PARTICIPANT, at)
                    self.counts["blocks"] += 1
                    continue
                for searcher in _SEARCHERS:
                    for bundle in block.bundles:
                        if bundle.actor == searcher:
                            await self._offer(bundle, block.number)
                    await pass_stage(self._rpc, searcher, at)

    async def _send(self, block: TapedBlock) -> None:
        for taped in block.transactions:
            signed = signed_again(taped, block.number)
            self._wallet.adopt(signed)
            try:
                await self._gateway.send(signed.raw, FLOW_PARTICIPANT)
            except RpcError as error:
                self.counts["refused"] += 1
                self._outcomes.refused(signed, error.message)
            self._note(block.number, taped.actor, [signed.hash])

    async def _offer(self, taped: TapedBundle, block: int) -> None:
        bundle = bundle_again(taped, block)
        await self._nonces.raise_to(taped.own)
        signer = named_account(f"{taped.actor}-flashbots-identity")
        refusals = await self._gateway.send_bundle(bundle.raws, bundle.block, taped.actor, signer)
        self._outcomes.offered(bundle, refusals)
        self._note(block, taped.actor, [signed.hash for signed in bundle.own])

    def _note(self, block: int, actor: str, hashes: list[str]) -> None:
        self.counts["sent"] += len(hashes)
        self._journal.write({"block": block, "actor": actor, "sent": hashes})


def signed_again(taped: TapedTransaction, block: int) -> Signed:
    """Return a transaction of a tape as it was signed. Raises `InvalidTransaction`."""
    read = decode_transaction(taped.raw)
    intent = Intent(
        actor=taped.actor,
        action=taped.action,
        account=taped.account,
        to=read.to or "",
        data=read.data,
        gas_limit=read.gas_limit,
        tip=read.max_priority_fee_per_gas,
        value=read.value,
        detail=taped.detail,
    )
    return Signed(intent, taped.raw, taped.hash, taped.nonce, block)


def bundle_again(taped: TapedBundle, block: int) -> SignedBundle:
    """Return a bundle of a tape as it was signed. Raises `InvalidTransaction`."""
    own = {one.raw: signed_again(one, block) for one in taped.own}
    hashes = tuple("0x" + keccak256(raw).hex() for raw in taped.raws)
    parts = tuple(
        own[raw].intent if raw in own else Foreign(raw, hash_) for raw, hash_ in zip(taped.raws, hashes, strict=True)
    )
    intent = BundleIntent(actor=taped.actor, action=taped.action, parts=parts, detail=taped.detail)
    return SignedBundle(intent, taped.raws, hashes, tuple(own.values()), block)
