"""Chainlink price feeds: an EACAggregatorProxy in front of a FluxAggregator that our `oracle` account submits to."""

from __future__ import annotations

from devnet.accounts import account
from devnet.protocols.catalogue import TOKENS, USD
from devnet.protocols.site import Site

ORACLE = "oracle-0"
_DECIMALS = 8
_TIMEOUT_SECONDS = 3600
_MAX_ANSWER = 10**17
_ZERO = "0x" + "00" * 20
_SUBMIT_GAS = 400_000


def deploy(site: Site) -> None:
    """Queue one feed per token that has one. The oracle is paid nothing and may start a round at any time."""
    oracle = account(ORACLE).address
    aggregator_types = ("address", "uint128", "uint32", "address", "int256", "int256", "uint8", "string")
    for spec in TOKENS:
        if not spec.has_feed:
            continue
        limits = (1, _MAX_ANSWER, _DECIMALS, f"{spec.symbol} / USD")
        values = (site.tokens["LINK"], 0, _TIMEOUT_SECONDS, _ZERO, *limits)
        aggregator = site.create_compiled(f"{spec.symbol} feed", "FluxAggregator", aggregator_types, *values)
        change = "changeOracles(address[],address[],address[],uint32,uint32,uint32)"
        site.deployer.call(aggregator, change, [], [oracle], [oracle], 1, 1, 0)
        proxy_types = ("address", "address")
        proxy = site.create_compiled(f"{spec.symbol} proxy", "EACAggregatorProxy", proxy_types, aggregator, _ZERO)
        site.aggregators[spec.symbol], site.feeds[spec.symbol] = aggregator, proxy


def submit(site: Site, round_id: int, per_thousand: int = 1000) -> None:
    """Queue one round of prices: the catalogue's, where it is not a dollar times `per_thousand` / 1000."""
    for spec in TOKENS:
        if spec.has_feed:
            dollar = spec.usd_price_e8 == USD
            answer = spec.usd_price_e8 if dollar else spec.usd_price_e8 * per_thousand // 1000
            aggregator = site.aggregators[spec.symbol]
            site.deployer.call(
                aggregator, "submit(uint256,int256)", round_id, answer, sender=account(ORACLE), gas=_SUBMIT_GAS
            )
