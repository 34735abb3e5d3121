"""One pending transaction through everything, with the time that each step takes; and the rows made of many.

The floor, measured in turn with each backrun, is two secp256k1 signatures.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from benchmarks.harness import Row, Samples, duration_row
from node.engine.bundle_wire import bundle_body, signature_header
from node.engine.signer import Signer
from node.pipeline.events import Effect, PendingTransactionSeen, SignAndSubmit
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.hot_path import pending_from_json
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.units import UnixNanoseconds

WARM_UP: Final = 50
"""Backruns before those that count."""
READ: Final = "read and check the JSON"
BUILD: Final = "decode, overlay, find, gate, build"
SIGN: Final = "sign our transaction"
WRITE: Final = "write and sign the relays' request"
_STEPS: Final = (READ, BUILD, SIGN, WRITE)
_SECONDS: Final = 1e-9
_DIGEST: Final = keccak256(b"the floor")


@dataclass(slots=True)
class Timing:
    """Samples of the whole and of its steps, in seconds, and of the floor measured beside it."""

    whole: Samples = field(default_factory=list)
    steps: dict[str, Samples] = field(default_factory=lambda: defaultdict(list))
    floor: Samples = field(default_factory=list)

    def take(self, steps: Sequence[str], marks: Sequence[int]) -> None:
        """Take in one backrun: the nanoseconds at which it began and at which each step ended."""
        self.whole.append((marks[-1] - marks[0]) * _SECONDS)
        for name, (begun, ended) in zip(steps, pairwise(marks), strict=True):
            self.steps[name].append((ended - begun) * _SECONDS)

    def take_floor(self, key: SigningKey, identity: SigningKey) -> None:
        """Make two signatures."""
        self.floor.append(timed(lambda: (key.sign_digest(_DIGEST), identity.sign_digest(_DIGEST))))


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - begun) * _SECONDS


def reset(state: PipelineState) -> None:
    """As if nothing was pending and nothing on its way; not part of any sample."""
    for pending in state.book:
        state.book.remove(pending.transaction.hash)
    state.outstanding.clear()
    state.waiting.clear()
    state.schedule.start(state.schedule.target_block, state.schedule.base_fee)


def first_approved(effects: Sequence[Effect]) -> SignAndSubmit | None:
    """Return what is to be signed first."""
    return next((effect for effect in effects if isinstance(effect, SignAndSubmit)), None)


def sign_and_write(approved: SignAndSubmit, signer: Signer) -> tuple[int, int]:
    """Sign a bundle and write its request; return when each was done, on `time.perf_counter_ns`."""
    bundle = signer.sign(approved)
    signed = time.perf_counter_ns()
    body = bundle_body(bundle.transactions, bundle.plan.target_block, bundle.plan.replaces)
    header = signature_header(body, signer.identity)
    done = time.perf_counter_ns()
    if not body or not header:
        raise AssertionError("nothing to send")
    return signed, done


def backrun(
    state: PipelineState, signer: Signer, raw: bytes, now: UnixNanoseconds, timing: Timing, nonce: int = 0
) -> bool:
    """Run one pending transaction through everything; True, with its samples taken, if a bundle came out.

    `nonce`: the sender's next one on the chain.
    """
    begun = time.perf_counter_ns()
    transaction = pending_from_json(raw, state.routers)
    read = time.perf_counter_ns()
    if transaction is None:
        return False
    approved = first_approved(step(state, PendingTransactionSeen(transaction, now, nonce)))
    found = time.perf_counter_ns()
    if approved is None:
        return False
    timing.take(_STEPS, (begun, read, found, *sign_and_write(approved, signer)))
    return True


def backrun_rows(name: str, timing: Timing, aim: str = "") -> list[Row]:
    """Return the rows of backruns, those of the warm-up left out: the whole beside the floor, the slowest, each step.

    `aim`: the median and p99 that are wanted, as text.
    """
    whole, floor = timing.whole[WARM_UP:], timing.floor[WARM_UP:]
    wanted = f" (aim {aim})" if aim else ""
    rows = [duration_row(f"{name}: JSON in, signed bundle out{wanted}", "µs", whole, floor, "two signatures")]
    rows.append(duration_row(f"{name}: the slowest of {len(whole)}", "µs", [max(whole)]))
    rows += [duration_row(f"  {step_name}", "µs", samples[WARM_UP:]) for step_name, samples in timing.steps.items()]
    return rows
