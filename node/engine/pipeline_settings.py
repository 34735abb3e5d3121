"""The pipeline's settings out of the operator's, and of what was read from the chain and the keystores."""

from __future__ import annotations

from collections.abc import Sequence

from node.config import Config, Mode
from node.engine.call_data import TRADED
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.settings import PipelineSettings
from protocol.units import Address


def pipeline_settings(config: Config, lenders: Sequence[FlashLender], senders: Sequence[Address]) -> PipelineSettings:
    """One frozen value for a whole run."""
    return PipelineSettings(
        chain_id=config.chain.id,
        entry_point=config.execution.vault_module,
        profit_tokens=config.tokens.profit,
        lenders=tuple(lenders),
        routers={router.address: router.kind for router in config.protocols.routers},
        senders=tuple(senders),
        pools_lend=any(lender.kind is LenderKind.UNISWAP_V3 for lender in config.protocols.lenders),
        limits=config.limits,
        bounds=config.bounds,
        traded=TRADED,
        simulate_pending=config.execution.simulate_pending,
        simulate=config.execution.simulate and config.mode is Mode.LIVE,  # a vault executes for its hot key only
    )
