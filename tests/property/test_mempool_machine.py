"""The mempool against a model, whatever happens in whatever order.

M1 one transaction a sender and nonce. M2 never more than the bound. M3 a block's order respects nonces, starts at the
state's nonce and leaves no gap. M4 among those ready at the same time the better tip goes first. M5 what is ready pays
the base fee. M6 every sender can pay for all that waits. M7 arrivals are distinct. M8 everything added is still there
or counted as removed.
"""

from __future__ import annotations

from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devnet.accounts import account
from devnet.relay.mempool import Mempool
from devnet.relay.mempool_rules import AccountState, MempoolLimits, Reason, Refused, cost
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee
from tests.relay_factories import GWEI, transfer

NAMES = ("alice", "bob", "carol")
LIMIT = 8
POSSIBLE = (
    None,
    Reason.ALREADY_KNOWN,
    Reason.NONCE_TOO_LOW,
    Reason.NONCE_TOO_HIGH,
    Reason.INSUFFICIENT_FUNDS,
    Reason.REPLACEMENT_UNDERPRICED,
    Reason.UNDERPRICED,
    Reason.POOL_FULL,
)
COST = 21_000 * 10 * GWEI


@cache
def signed(name: str, nonce: int, tip: int, fee_cap: int) -> SignedTransaction:
    """Sign once: signing is the slow part."""
    return transfer(name, nonce, tip=tip * GWEI, fee_cap=fee_cap * GWEI)


class MempoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mempool = Mempool(MempoolLimits(transactions=LIMIT, nonces_ahead=5, blocks_kept=6))
        self.accounts = {account(name).address: AccountState(0, 6 * COST) for name in NAMES}
        self.number = 0
        self.admitted = 0

    @rule(
        name=st.sampled_from(NAMES),
        nonce=st.integers(0, 9),
        tip=st.integers(0, 4),
        fee_cap=st.sampled_from([4, 6, 9]),
        public=st.booleans(),
    )
    def send(self, name: str, nonce: int, tip: int, fee_cap: int, *, public: bool) -> None:
        transaction = signed(name, nonce, tip, fee_cap)
        known = self.mempool.get(transaction.hash)
        refused: Reason | None = None
        try:
            admission = self.mempool.add(
                transaction, self.accounts[transaction.sender], public=public, base_fee=5 * GWEI
            )
        except Refused as error:
            refused = error.reason
        else:
            assert admission.announce == public
            self.admitted += known is None
            assert self.mempool.get(transaction.hash) is admission.pooled
        assert refused in POSSIBLE

    @rule(taken=st.integers(0, 4), base_fee=st.integers(1, 8))
    def mine(self, taken: int, base_fee: int) -> None:
        self.number += 1
        block = [pooled.transaction for pooled in self.mempool.ready(base_fee * GWEI)[:taken]]
        for transaction in block:
            state = self.accounts[transaction.sender]
            assert state.nonce == transaction.nonce
            self.accounts[transaction.sender] = AccountState(state.nonce + 1, state.balance - cost(transaction))
        gone = self.mempool.apply_block(self.number, [transaction.hash for transaction in block], self.accounts)
        assert [pooled.transaction for pooled in gone] == block

    @rule(name=st.sampled_from(NAMES), balance=st.integers(0, 9))
    def pay(self, name: str, balance: int) -> None:
        address = account(name).address
        self.accounts[address] = AccountState(self.accounts[address].nonce, balance * COST)
        self.number += 1
        self.mempool.apply_block(self.number, [], self.accounts)

    @precondition(lambda self: self.number > 2)
    @rule(back=st.integers(1, 3))
    def reorg(self, back: int) -> None:
        self.number = max(0, self.number - 2)
        for address, state in self.accounts.items():
            self.accounts[address] = AccountState(max(0, state.nonce - back), state.balance)
        self.mempool.rewind(self.number, self.accounts)

    @invariant()
    def one_transaction_a_sender_and_nonce(self) -> None:
        places = [(pooled.transaction.sender, pooled.transaction.nonce) for pooled in self.mempool]
        assert len(places) == len(set(places)), "M1"
        assert len(places) <= LIMIT, "M2"
        assert len({pooled.arrival for pooled in self.mempool}) == len(places), "M7"

    @invariant()
    def the_order_respects_nonces_and_tips(self) -> None:
        base_fee = 5 * GWEI
        ready = self.mempool.ready(base_fee)
        following = {address: state.nonce for address, state in self.accounts.items()}
        for place, pooled in enumerate(ready):
            transaction = pooled.transaction
            assert transaction.nonce == following[transaction.sender], "M3"
            assert transaction.max_fee_per_gas >= base_fee, "M5"
            rivals = [
                later.transaction
                for later in ready[place:]
                if later.transaction.nonce == following[later.transaction.sender]
            ]
            best = max(effective_priority_fee(rival, base_fee) for rival in rivals)
            assert effective_priority_fee(transaction, base_fee) == best, "M4"
            following[transaction.sender] += 1

    @invariant()
    def what_waits_is_paid_for_and_accounted_for(self) -> None:
        for address, state in self.accounts.items():
            waiting = sum(cost(p.transaction) for p in self.mempool if p.transaction.sender == address)
            assert waiting <= state.balance, "M6"
        assert self.admitted == len(self.mempool) + self.mempool.removed.total(), "M8"


TestMempoolMachine = MempoolMachine.TestCase
TestMempoolMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
