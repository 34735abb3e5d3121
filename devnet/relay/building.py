"""Builds a block: bundles by payment per gas at its top, merged without conflicts, then the mempool by tip.

In a calm block that is five requests: nonces, each bundle alone (`ranking`), the merged bundles once or twice
(`merging`), and all together with the mempool's transactions (`filling`).
"""

from __future__ import annotations

from collections.abc import Sequence

from devnet.relay.context import BlockContext, BlockPlan, Bundle, PooledTransaction
from devnet.relay.filling import fill
from devnet.relay.merging import merge
from devnet.relay.ranking import Candidate, TopOfBlockCache, rank
from devnet.relay.simulation import Simulator
from devnet.rpc import RpcClient


async def build_block(
    chain: RpcClient,
    context: BlockContext,
    bundles: Sequence[Bundle],
    public: Sequence[PooledTransaction],
    *,
    cache: TopOfBlockCache | None = None,
) -> BlockPlan:
    """Plan the block of `context` on top of its parent. Raises `ChainFailed`.

    Every bundle comes back, placed or dropped with a reason. A transaction that is in a placed bundle and in `public`
    is in the block once, where the bundle has it. `cache` saves simulations where a block is planned more than once.
    """
    simulator = Simulator(chain, context)
    senders = dict.fromkeys(one.sender for bundle in bundles for one in bundle.transactions)
    senders.update(dict.fromkeys(pooled.transaction.sender for pooled in public))
    nonces = await simulator.nonces(tuple(senders))
    ranked, hopeless = await rank(simulator, context, bundles, nonces, cache or TopOfBlockCache(), public)
    merged = await merge(simulator, context, ranked, nonces)
    behind = await fill(simulator, merged, public, context.base_fee)
    return BlockPlan(
        transactions=(*merged.transactions, *behind),
        placed=tuple(merged.placed),
        dropped=(*hopeless, *merged.dropped),
        simulated=_gas_simulated(ranked),
    )


def _gas_simulated(ranked: Sequence[Candidate]) -> tuple[tuple[Bundle, int], ...]:
    return tuple((candidate.bundle, candidate.gas_used) for candidate in ranked)
