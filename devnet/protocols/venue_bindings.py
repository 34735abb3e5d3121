"""What our executor is bound to in this world: the genuine protocols, and how their pools' addresses derive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from governance.contracts import ExecutorBindings, VenueFactory
from protocol.units import ZERO_ADDRESS, Address

UNISWAP_V2_PAIR: Final = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
SUSHI_PAIR: Final = bytes.fromhex("e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303")
UNISWAP_V3_POOL: Final = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
"""Keccak-256 of the genuine pools' creation code."""


def executor_bindings(contracts: Mapping[str, str]) -> ExecutorBindings:
    """Return what an `ArbExecutor` of this world is bound to, but for our own contracts; by the manifest's names."""
    return ExecutorBindings(
        module=ZERO_ADDRESS,
        weth=_raw(contracts["weth"]),
        uniswap_v2=VenueFactory(
            factory=_raw(contracts["uniswap_v2_factory"]), init_code_hash=UNISWAP_V2_PAIR, fee_pips=3_000
        ),
        sushi_swap=VenueFactory(factory=_raw(contracts["sushi_factory"]), init_code_hash=SUSHI_PAIR, fee_pips=3_000),
        uniswap_v3=VenueFactory(factory=_raw(contracts["uniswap_v3_factory"]), init_code_hash=UNISWAP_V3_POOL),
        balancer_vault=_raw(contracts["balancer_vault"]),
        aave_pool=_raw(contracts["aave_pool"]),
        ledger=ZERO_ADDRESS,
        pool_manager=_raw(contracts["uniswap_v4_pool_manager"]),
        morpho=_raw(contracts["morpho"]),
        curve_pools=(_raw(contracts["curve_stable_pool"]),),
    )


def _raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))
