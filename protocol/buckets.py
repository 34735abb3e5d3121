"""Token buckets as pure state: time is given, and everything is an integer."""

from __future__ import annotations

from typing import Final, Generic, NamedTuple, TypeVar

from protocol.units import StakeUnits, UnixMilliseconds, multiply_divide_down

_PER_TOKEN: Final = 1_000
_Key = TypeVar("_Key")


class BucketRules(NamedTuple):
    """Tokens a second that flow in, and how many there can be at most."""

    rate: int
    burst: int


class StakeRates(NamedTuple):
    """What an operator may send: `base` messages a second, and its share by stake of `shared`; each for `seconds`."""

    base: int
    shared: int
    seconds: int

    def rules(self, stake: StakeUnits, total: StakeUnits) -> BucketRules:
        """Return the bucket of an operator with `stake` out of `total`, which is not zero."""
        rate = self.base + multiply_divide_down(self.shared, stake, total)
        return BucketRules(rate, rate * self.seconds)


class TokenBucket:
    """One bucket. It begins full; time that goes back adds nothing."""

    __slots__ = ("_at", "_level")

    def __init__(self, rules: BucketRules, now: UnixMilliseconds) -> None:
        self._level = rules.burst * _PER_TOKEN
        self._at = now

    def has_token(self, rules: BucketRules, now: UnixMilliseconds, tokens: int = 1) -> bool:
        """Tell whether there are so many tokens, and take none."""
        elapsed = max(0, now - self._at)
        self._at = max(self._at, now)
        self._level = min(self._level + elapsed * rules.rate, rules.burst * _PER_TOKEN)
        return self._level >= tokens * _PER_TOKEN

    def take(self, rules: BucketRules, now: UnixMilliseconds, tokens: int = 1) -> bool:
        """Take tokens, all or none; return whether there were so many."""
        if not self.has_token(rules, now, tokens):
            return False
        self._level -= tokens * _PER_TOKEN
        return True


class Buckets(Generic[_Key]):
    """Buckets by key, at most `cap`: the one that was not used for the longest time leaves, and is counted.

    Who comes back finds a full bucket: the cap is to be above the number of keys that can come at one time.
    """

    def __init__(self, cap: int) -> None:
        self.evicted = 0
        self._cap = cap
        self._buckets: dict[_Key, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: _Key, rules: BucketRules, now: UnixMilliseconds) -> TokenBucket:
        """Return the bucket of a key."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = TokenBucket(rules, now)
            if len(self._buckets) >= self._cap:
                del self._buckets[next(iter(self._buckets))]
                self.evicted += 1
        self._buckets[key] = bucket
        return bucket
