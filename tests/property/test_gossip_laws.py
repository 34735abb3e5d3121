"""Whatever arrives, in whatever order: gossip accepts nothing twice, blames no relay, and is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.buckets import BucketRules, Buckets, StakeRates, TokenBucket
from protocol.gossip import RejectReason
from protocol.kinds import PayloadKind
from protocol.messages import MAX_LIFETIME_MS
from protocol.seen import KEPT_MS, SEQUENCES_KEPT, Seen, Sequences
from protocol.units import Address, SequenceNumber, SignatureBytes, StakeUnits, UnixMilliseconds
from tests import gossip_factories as make
from tests.gossip_factories import PEERS, STAKES, message, verdict
from tests.protocol_factories import heartbeat

RULES = st.builds(BucketRules, st.integers(1, 1_000), st.integers(1, 5_000))
TIMES = st.lists(st.integers(0, 100_000), min_size=1, max_size=60)


@given(RULES, TIMES)
def test_no_bucket_gives_more_than_its_rate_and_burst(rules: BucketRules, times: list[int]) -> None:
    bucket = TokenBucket(rules, UnixMilliseconds(min(times)))
    taken = sum(bucket.take(rules, UnixMilliseconds(at)) for at in times)
    assert taken <= rules.burst + rules.rate * (max(times) - min(times)) // 1_000


@given(RULES, st.integers(0, 2**50))
def test_a_bucket_left_alone_is_full_again(rules: BucketRules, start: int) -> None:
    bucket = TokenBucket(rules, UnixMilliseconds(start))
    while bucket.take(rules, UnixMilliseconds(start)):
        pass
    later = UnixMilliseconds(start + -(-rules.burst * 1_000 // rules.rate))
    assert sum(bucket.take(rules, later) for _ in range(rules.burst + 1)) == rules.burst


@given(st.lists(st.integers(1, 2**90), min_size=1, max_size=20))
def test_all_operators_together_stay_within_the_shared_rate(stakes: list[int]) -> None:
    rates = StakeRates(base=5, shared=200, seconds=4)
    rules = [rates.rules(StakeUnits(stake), StakeUnits(sum(stakes))) for stake in stakes]
    assert sum(one.rate for one in rules) <= 200 + 5 * len(stakes)
    assert all(one.rate >= 5 for one in rules)


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 10))
def test_buckets_never_exceed_their_cap(keys: list[int], cap: int) -> None:
    rules, buckets = BucketRules(1, 1), Buckets[int](cap)
    for at, key in enumerate(keys):
        buckets.of(key, rules, UnixMilliseconds(at)).take(rules, UnixMilliseconds(at))
        assert len(buckets) <= cap
    assert buckets.evicted >= len(set(keys)) - cap


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40_000)), max_size=100), st.integers(1, 10))
def test_seen_forgets_by_age_or_cap_and_nothing_else(steps: list[tuple[int, int]], cap: int) -> None:
    seen, now = Seen(cap), 0
    last: dict[SignatureBytes, int] = {}
    for name, pause in steps:
        now += pause
        signature = SignatureBytes(bytes((name,)) * 65)
        if signature not in seen:
            seen.add(signature, UnixMilliseconds(now))
            last.pop(signature, None)
            last[signature] = now
        assert len(seen) <= cap
        recent = [key for key, at in last.items() if at + KEPT_MS >= now][-1:]
        assert all(key in seen for key in recent)
    assert KEPT_MS > MAX_LIFETIME_MS


@given(st.lists(st.integers(0, 500), max_size=300))
def test_no_sequence_number_is_new_twice(numbers: list[int]) -> None:
    sequences, operator, taken = Sequences(), Address(bytes(20)), []
    for number in numbers:
        if sequences.is_new(operator, SequenceNumber(number)):
            sequences.add(operator, SequenceNumber(number))
            taken.append(number)
        assert len(sequences._kept.get(operator, [])) <= SEQUENCES_KEPT
    assert len(taken) == len(set(taken))
    recent = sorted(taken)[-SEQUENCES_KEPT:]
    missing = [number for number in numbers if number not in taken]
    assert all(number < recent[0] for number in missing if recent)


@given(st.binary(max_size=9_000), st.sampled_from(PayloadKind))
def test_arbitrary_bytes_are_rejected_and_raise_nothing_else(data: bytes, kind: PayloadKind) -> None:
    assert verdict(make.gossip(), kind, data) in {"OVERSIZE", "MALFORMED", "WRONG_DOMAIN"}


@given(st.data())
def test_a_mutated_envelope_is_never_accepted(choose: st.DataObject) -> None:
    data = bytearray(message(heartbeat()))
    position = choose.draw(st.integers(0, len(data) - 1))
    data[position] ^= choose.draw(st.integers(1, 255))
    assert verdict(make.gossip(), PayloadKind.HEARTBEAT, bytes(data)) != "ACCEPT"


class Network(RuleBasedStateMachine):
    """Operators publish; peers forward what they saw, in any order and any number of times, after any pause."""

    def __init__(self) -> None:
        super().__init__()
        self.state = make.gossip(seen=8, operators=StakeRates(base=20, shared=0, seconds=1))
        self.now = 0
        self.made: list[tuple[str, bytes]] = []
        self.accepted: list[bytes] = []

    @rule(name=st.sampled_from(sorted(STAKES)), ahead=st.integers(-3_000, 3_000))
    def publish(self, name: str, ahead: int) -> None:
        self.made.append((name, message(heartbeat(), name, self.now + ahead)))

    @rule(pick=st.integers(0, 10**6), forwarder=st.sampled_from(sorted(PEERS)))
    def forward(self, pick: int, forwarder: str) -> None:
        if not self.made:
            return
        name, data = self.made[pick % len(self.made)]
        said = verdict(self.state, PayloadKind.HEARTBEAT, data, name, forwarder, self.now)
        assert said not in RejectReason.__members__, "an honest relay is never blamed"
        if said == "ACCEPT":
            assert data not in self.accepted, "nothing is accepted twice"
            self.accepted.append(data)

    @rule(pause=st.integers(0, 20_000))
    def wait(self, pause: int) -> None:
        self.now += pause

    @rule(name=st.sampled_from(sorted(STAKES)))
    def leave(self, name: str) -> None:
        self.state.follow(make.snapshot(make.HEAD, **{name: None}))

    @rule()
    def come_back(self) -> None:
        self.state.follow(make.snapshot())

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.state._seen) <= 8
        assert len(self.state._sequences) <= len(STAKES)


TestNetwork = Network.TestCase
