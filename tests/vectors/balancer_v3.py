"""Kind balancer_v3_pool: swaps, deposits and withdrawals of Balancer V3's pools and buffers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from node.pipeline.amm import balancer_v3, erc4626
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.balancer_v3_stable import stable_maths
from node.pipeline.amm.balancer_v3_surge import SurgeHook
from node.pipeline.amm.balancer_v3_weighted import weighted_maths
from node.pipeline.amm.erc4626 import ShareVault
from tests.vectors.cases import Case, Malformed, Unsupported, differs, must_be, number
from tests.vectors.pools import answer_or_refusal

_ONE: Final = 10**18
# Pool types that are left alone, by what their names contain.
_UNSUPPORTED: Final = ("RECLAMM", "GYRO", "QUANT", "LBP", "LIQUIDITY_BOOTSTRAPPING")
_GIVEN_IN, _GIVEN_OUT = 0, 1


def split_v3(content: bytes) -> Iterator[Case]:
    """Split a file into its swaps, adds and removes, each with the pool."""
    document = json.loads(content)
    pool = must_be("pool", dict, document["pool"])
    for what in ("swaps", "adds", "removes"):
        for place, action in enumerate(must_be(what, list, document.get(what) or [])):
            name = f"{what} #{place} {pool.get('poolType')} {action.get('kind', action.get('swapKind'))}"
            yield Case(name, {"pool": pool, what: action})


def check_v3(case: dict[str, Any]) -> Iterator[str]:
    """One swap, deposit or withdrawal. Raises Unsupported for pool types that are left alone."""
    state = case["pool"]
    kind = must_be("poolType", str, state["poolType"]).upper()
    if any(name in kind for name in _UNSUPPORTED):
        raise Unsupported(kind)
    if kind == "BUFFER":
        yield from _buffer_differs(state, case["swaps"])
        return
    pool = _pool(state, kind)
    if "swaps" in case:
        yield from _swap_differs(pool, state, case["swaps"])
    elif "adds" in case:
        yield from _add_differs(pool, case["adds"])
    else:
        yield from _remove_differs(pool, case["removes"])


def _pool(state: Mapping[str, Any], kind: str) -> V3Pool:
    if kind == "WEIGHTED":
        maths: Any = weighted_maths(_numbers(state["weights"]))
    elif kind == "STABLE":
        maths = stable_maths(number(state["amp"]))
    else:
        raise Malformed(f"unknown pool type {kind}")
    live = tuple(_numbers(state["balancesLiveScaled18"]))
    factors, rates = _numbers(state["scalingFactors"]), _numbers(state["tokenRates"])
    if min([*factors, *rates]) < 1:
        raise Malformed(f"factors {factors}, rates {rates}")
    raw = [-(-balance * _ONE // (factor * rate)) for balance, factor, rate in zip(live, factors, rates, strict=True)]
    pool = balancer_v3.v3_pool(
        raw,
        factors,
        rates,
        number(state["swapFee"]),
        number(state["totalSupply"]),
        maths,
        number(state.get("aggregateSwapFee", 0)),
        _hook(state.get("hook")),
    )
    if pool.live != live:
        raise Malformed(f"live balances {list(live)} are not those of any balances at these rates")
    return pool


def _hook(hook: Mapping[str, Any] | None) -> SurgeHook | None:
    if hook is None:
        return None
    kind = must_be("type", str, hook["type"]).upper()
    if kind != "STABLE_SURGE":
        raise Malformed(f"an unknown hook {kind}")
    data = hook["dynamicData"]
    guards = must_be("a flag", bool, hook.get("shouldCallAfterAddLiquidity", True))
    return SurgeHook(number(data["surgeThresholdPercentage"]), number(data["maxSurgeFeePercentage"]), guards)


def _numbers(values: object) -> list[int]:
    return [number(value) for value in must_be("a list of numbers", list, values)]


def _pair(state: Mapping[str, Any], swap: Mapping[str, Any]) -> tuple[int, int]:
    tokens = [must_be("token", str, token).lower() for token in state["tokens"]]
    pair = [must_be(key, str, swap[key]).lower() for key in ("tokenIn", "tokenOut")]
    if pair[0] not in tokens or pair[1] not in tokens:
        raise Malformed(f"the pool does not have {pair[0]} and {pair[1]}")
    return tokens.index(pair[0]), tokens.index(pair[1])


def _swap_kind(swap: Mapping[str, Any]) -> int:
    kind = number(swap["swapKind"])
    if kind not in (_GIVEN_IN, _GIVEN_OUT):
        raise Malformed(f"swapKind {kind}")
    return kind


def _swap_differs(pool: V3Pool, state: Mapping[str, Any], swap: Mapping[str, Any]) -> Iterator[str]:
    ask = balancer_v3.quote_exact_in if _swap_kind(swap) == _GIVEN_IN else balancer_v3.quote_exact_out
    answer = answer_or_refusal(ask, pool, *_pair(state, swap), number(swap["amountRaw"]))
    yield from differs("output", answer, number(swap["outputRaw"]))


def _add_differs(pool: V3Pool, add: Mapping[str, Any]) -> Iterator[str]:
    amounts, minted = _numbers(add["inputAmountsRaw"]), number(add["bptOutRaw"])
    kind = must_be("kind", str, add["kind"])
    if kind == "Unbalanced":
        yield from differs("pool tokens", answer_or_refusal(balancer_v3.add_unbalanced, pool, amounts), minted)
    elif kind.startswith("SingleToken"):
        index = _only(amounts)
        answer = answer_or_refusal(balancer_v3.add_single_exact_out, pool, index, minted)
        yield from differs("amount in", answer, amounts[index])
    elif kind == "Proportional":
        yield from differs("amounts in", list(balancer_v3.add_proportional(pool, minted)), amounts)
    else:
        raise Malformed(f"unknown kind of deposit {kind!r}")


def _remove_differs(pool: V3Pool, remove: Mapping[str, Any]) -> Iterator[str]:
    amounts, burnt = _numbers(remove["amountsOutRaw"]), number(remove["bptInRaw"])
    kind = must_be("kind", str, remove["kind"])
    if kind == "Proportional":
        yield from differs("amounts out", list(balancer_v3.remove_proportional(pool, burnt)), amounts)
    elif kind == "SingleTokenExactIn":
        index = _only(amounts)
        answer = answer_or_refusal(balancer_v3.remove_single_exact_in, pool, index, burnt)
        yield from differs("amount out", answer, amounts[index])
    elif kind == "SingleTokenExactOut":
        index = _only(amounts)
        answer = answer_or_refusal(balancer_v3.remove_single_exact_out, pool, index, amounts[index])
        yield from differs("pool tokens", answer, burnt)
    else:
        raise Malformed(f"unknown kind of withdrawal {kind!r}")


def _only(amounts: Sequence[int]) -> int:
    """The place of the only amount that is not zero."""
    places = [place for place, amount in enumerate(amounts) if amount]
    if len(places) != 1:
        raise Malformed(f"amounts {list(amounts)} of a single token")
    return places[0]


# (preview, as the Vault's buffers ask since the first deployment) by (wrapping, kind of swap).
_PREVIEWS: Final[Mapping[tuple[bool, int], tuple[Callable[..., int], Callable[..., int]]]] = {
    (True, _GIVEN_IN): (erc4626.preview_deposit, erc4626.buffered_wrap_exact_in),
    (True, _GIVEN_OUT): (erc4626.preview_mint, erc4626.buffered_wrap_exact_out),
    (False, _GIVEN_IN): (erc4626.preview_redeem, erc4626.buffered_unwrap_exact_in),
    (False, _GIVEN_OUT): (erc4626.preview_withdraw, erc4626.buffered_unwrap_exact_out),
}


def _buffer_differs(state: Mapping[str, Any], swap: Mapping[str, Any]) -> Iterator[str]:
    """A file tells a rate rounded down, so that the chain's answer lies between those of this rate and of the next;
    what the first vaults answered is the preview itself.
    """
    index_in, index_out = _pair(state, swap)
    if index_in == index_out:
        raise Malformed("a token for itself")
    preview, buffered = _PREVIEWS[index_in == 1, _swap_kind(swap)]
    rate, amount, stated = number(state["rate"]), number(swap["amountRaw"]), number(swap["outputRaw"])
    vaults: list[ShareVault] = [erc4626.wrapper(rate), erc4626.wrapper(rate + 1)]
    if answer_or_refusal(preview, vaults[0], amount) == stated:
        return
    answers = [answer_or_refusal(buffered, vault, amount) for vault in vaults]
    numbers = [answer for answer in answers if isinstance(answer, int)]
    if len(numbers) < len(answers) or not min(numbers) <= stated <= max(numbers):
        yield f"output: {stated} stated, between {answers[0]} and {answers[1]} expected"
