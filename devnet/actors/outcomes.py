"""What became of the intents: journal lines from blocks and receipts, and the ground truth of sandwiches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from devnet.accounts import account as named_account
from devnet.actors.journal import Journal
from devnet.actors.market import Market
from devnet.actors.sandwicher import EXECUTOR, Sandwicher
from devnet.actors.wallet import Signed, SignedBundle, Wallet

_TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

Receipts = Mapping[str, Mapping[str, Any]]


class Outcomes:
    """Settles the wallet against each block and writes the journals. `counts` are keyed `actor.outcome`."""

    def __init__(self, market: Market, wallet: Wallet, journal: Journal, sandwiches: Journal) -> None:
        self._market, self._wallet = market, wallet
        self._journal, self._sandwiches = journal, sandwiches
        self._bundles: list[SignedBundle] = []
        self.counts: Counter[str] = Counter()

    def refused(self, signed: Signed, reason: str) -> None:
        """Note that the node did not take a transaction."""
        self._wallet.refused(signed)
        self._write(signed, signed.block, "refused", {"reason": reason})

    def offered(self, bundle: SignedBundle, refusals: Mapping[str, str]) -> None:
        """Note that a bundle was sent, and which builders refused it."""
        self._bundles.append(bundle)
        for builder, reason in refusals.items():
            self._journal.write(
                {"block": bundle.block, "actor": bundle.intent.actor, "builder": builder, "refused": reason}
            )

    def settle(self, block: int, hashes: Sequence[str], receipts: Receipts) -> list[str]:
        """Take a block in; return the accounts whose nonces have to be read again.

        These are the ones of what was lost, and of bundles that missed: perhaps a reorg took an earlier one back.
        """
        doubtful: set[str] = set()
        for signed in self._wallet.mined(hashes):
            receipt = receipts[signed.hash]
            outcome = "mined" if int(receipt["status"], 16) else "reverted"
            self._write(signed, block, outcome, {"gas_used": int(receipt["gasUsed"], 16)})
        waiting, self._bundles = self._bundles, []
        for bundle in waiting:
            if bundle.block > block:
                self._bundles.append(bundle)
            elif not self._settle_bundle(bundle, block, hashes, receipts):
                doubtful |= {signed.intent.account for signed in bundle.own}
        lost = self._wallet.lost(block)
        for signed in lost:
            self._write(signed, block, "lost", {})
        self._journal.flush()
        self._sandwiches.flush()
        return sorted(doubtful | {signed.intent.account for signed in lost})

    def _settle_bundle(self, bundle: SignedBundle, block: int, hashes: Sequence[str], receipts: Receipts) -> bool:
        landed = bundle.block == block and all(signed.hash in receipts for signed in bundle.own)
        outcome = "landed" if landed else "missed"
        intent = bundle.intent
        self.counts[f"{intent.actor}.{outcome}"] += 1
        entry = {"block": bundle.block, "actor": intent.actor, "action": intent.action, "outcome": outcome}
        own = [signed.hash for signed in bundle.own]
        self._journal.write({**entry, "hashes": list(bundle.hashes), "own": own, **intent.detail})
        if landed:
            self._wallet.landed(bundle)
            if intent.actor == Sandwicher.name:
                self._sandwiches.write(self._truth(bundle, block, hashes, receipts))
        return landed

    def _truth(self, bundle: SignedBundle, block: int, hashes: Sequence[str], receipts: Receipts) -> dict[str, Any]:
        """One sandwich as it was mined; amounts in smallest units of `token_in`, fees in wei."""
        detail, own = bundle.intent.detail, [receipts[signed.hash] for signed in bundle.own]
        token = self._market.address(str(detail["token_in"]))
        holders = {named_account(bundle.own[0].intent.account).address, self._market.contract(EXECUTOR)}
        fees = sum(int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) for receipt in own)
        return {
            "block": block,
            "block_hash": own[0]["blockHash"],  # a reorg may take the block back
            "index": list(hashes).index(bundle.hashes[0]),
            "variant": detail["variant"],
            "pool": detail["pool"],
            "pool_address": self._market.pools[str(detail["pool"])].address.lower(),
            "attacker": named_account(bundle.own[0].intent.account).address,
            "front": bundle.hashes[0],
            "victims": list(bundle.hashes[1:-1]),
            "back": bundle.hashes[-1],
            "token_in": detail["token_in"],
            "profit": str(sum(_gained(receipt, token, holders) for receipt in own)),
            "fees_wei": str(fees),
        }

    def _write(self, signed: Signed, block: int, outcome: str, more: Mapping[str, Any]) -> None:
        intent = signed.intent
        self.counts[f"{intent.actor}.{outcome}"] += 1
        entry = {"block": block, "actor": intent.actor, "action": intent.action, "outcome": outcome}
        self._journal.write({**entry, "hash": signed.hash, "account": intent.account, **intent.detail, **more})


def _gained(receipt: Mapping[str, Any], token: str, holders: set[str]) -> int:
    """What the holders gained of a token by ERC-20 transfers in a transaction; negative when they paid."""
    gained = 0
    for log in receipt["logs"]:
        topics = log["topics"]
        if log["address"].lower() == token and topics and topics[0] == _TRANSFER:
            amount = int(log["data"], 16)
            gained += amount * (("0x" + topics[2][-40:] in holders) - ("0x" + topics[1][-40:] in holders))
    return gained
