"""Sandwiches in mined blocks: what is one, what is not, and that a block always gives the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.engine.network.mined_swaps import mined_swaps
from node.engine.receipts import Receipt
from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity
from node.engine.vault_logs import Log
from node.pipeline.detectors.sandwich import MAX_FOUND, MAX_SWAPS, MinedSwap, sandwiches
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, Hash32
from tests.protocol_factories import hash_of

MALLORY, ALICE, BOB, BOT, ROUTER = (Address(bytes([place]) * 20) for place in range(1, 6))
POOL, OTHER_POOL = b"\x0a" * 20, b"\x0b" * 32


def swap(
    name: str, origin: Address, direction: int, amount_in: int, amount_out: int, *, pool: bytes = POOL,
    destination: Address | None = ROUTER,
) -> MinedSwap:  # fmt: skip
    return MinedSwap(hash_of(name), origin, destination, pool, direction, amount_in, amount_out)


FRONT = swap("front", MALLORY, 0, 100, 50)
VICTIM = swap("victim", ALICE, 0, 10, 4)
BACK = swap("back", MALLORY, 1, 50, 104)


def test_a_swap_around_anothers_by_one_account_is_a_sandwich() -> None:
    (found,) = sandwiches([FRONT, VICTIM, BACK])

    assert found == (POOL, hash_of("front"), (hash_of("victim"),), hash_of("back"))


def test_several_victims_are_named_in_their_order_and_others_pass() -> None:
    second = swap("second", BOB, 0, 9, 3)
    elsewhere = swap("elsewhere", BOB, 0, 9, 3, pool=OTHER_POOL)
    against = swap("against", BOB, 1, 9, 3)
    (found,) = sandwiches([elsewhere, FRONT, VICTIM, against, second, BACK])

    assert found.victims == (hash_of("victim"), hash_of("second"))


def test_one_contract_that_nobody_else_calls_is_one_actor_and_a_router_is_none() -> None:
    front, back = (one._replace(destination=BOT) for one in (FRONT, BACK._replace(origin=BOB)))
    assert len(sandwiches([front, VICTIM, back])) == 1
    for elsewhere in (swap("else", ALICE, 1, 9, 3, pool=OTHER_POOL, destination=BOT), VICTIM._replace(destination=BOT)):
        assert sandwiches([front, VICTIM, back, elsewhere]) == [], "a third account swaps through it in this block"
    assert len(sandwiches([front, VICTIM, back, front._replace(transaction=hash_of("again"))])) == 1
    assert sandwiches([FRONT, VICTIM, BACK._replace(origin=BOB)]) == [], "all three call the router"
    created = [FRONT._replace(destination=None), VICTIM, BACK._replace(origin=BOB, destination=None)]
    assert sandwiches(created) == []


def test_a_front_takes_the_first_back_that_fits_and_each_back_has_one_front() -> None:
    again, later = FRONT._replace(transaction=hash_of("again")), BACK._replace(transaction=hash_of("later"))
    first, second = sandwiches([FRONT, again, VICTIM, BACK, later])

    assert (first.front, first.back) == (hash_of("front"), hash_of("back"))
    assert (second.front, second.back) == (hash_of("again"), hash_of("later"))


def test_swaps_beyond_the_bound_of_a_block_are_not_looked_at() -> None:
    padding = [swap(f"{place}", BOB, 0, 1, 1, pool=OTHER_POOL) for place in range(MAX_SWAPS - 3)]
    assert len(sandwiches([*padding, FRONT, VICTIM, BACK])) == 1
    assert sandwiches([*padding, FRONT, VICTIM, VICTIM, BACK]) == []


def test_what_only_looks_like_one_is_none() -> None:
    assert sandwiches([FRONT, BACK]) == [], "nobody between"
    assert sandwiches([FRONT, VICTIM]) == [], "nothing behind"
    assert sandwiches([FRONT, VICTIM._replace(direction=1), BACK]) == [], "who swaps against it gains"
    assert sandwiches([FRONT, VICTIM._replace(origin=MALLORY), BACK]) == [], "its own swap"
    assert sandwiches([FRONT, VICTIM, BACK._replace(direction=0)]) == [], "the same direction again"
    assert sandwiches([FRONT, VICTIM, BACK._replace(amount_in=60)]) == [], "another amount"
    assert sandwiches([FRONT, VICTIM, BACK._replace(transaction=FRONT.transaction)]) == [], "one transaction"
    assert len(sandwiches([FRONT, VICTIM, BACK._replace(amount_in=50)])) == 1


def test_two_sandwiches_in_one_pool_are_two_and_a_block_is_bounded() -> None:
    both = [FRONT, VICTIM, BACK, *(one._replace(transaction=hash_of(f"{place}")) for place, one in enumerate(
        (FRONT, VICTIM, BACK)
    ))]  # fmt: skip
    assert len(sandwiches(both)) == 2
    many = [
        one._replace(transaction=hash_of(f"{place} {pool}"), pool_id=pool.to_bytes(20, "big"))
        for pool in range(MAX_FOUND + 5)
        for place, one in enumerate((FRONT, VICTIM, BACK))
    ]
    assert len(sandwiches(many)) == MAX_FOUND


swaps = st.lists(
    st.builds(
        MinedSwap,
        st.integers(0, 5).map(lambda place: hash_of(f"transaction {place}")),
        st.sampled_from((MALLORY, ALICE, BOB)),
        st.sampled_from((ROUTER, BOT, None)),
        st.sampled_from((POOL, OTHER_POOL)),
        st.integers(0, 1),
        st.integers(1, 100),
        st.integers(1, 100),
    ),
    max_size=12,
)


@given(block=swaps)
def test_every_sandwich_has_a_front_a_victim_and_a_back_of_its_pool_in_this_order(block: list[MinedSwap]) -> None:
    for found in sandwiches(block):
        own = [one.transaction for one in block if one.pool_id == found.pool_id]
        assert found.front in own
        assert found.back in own
        assert found.front != found.back
        assert found.victims
        assert not {found.front, found.back} & set(found.victims)
    assert sandwiches(block) == sandwiches(list(block))


def word(*numbers: int) -> Data:
    return Data(b"".join((number % (1 << 256)).to_bytes(32, "big") for number in numbers))


def receipt(*logs: Log) -> Receipt:
    return Receipt(
        HashHex(hash_of("a")), Quantity(1), Quantity(1), Quantity(1), logs, AddressHex(ALICE), AddressHex(BOT)
    )


def log(event: bytes, data: Data, *topics: bytes) -> Log:
    return Log(AddressHex(POOL), (HashHex(keccak256(event)), *(HashHex(topic) for topic in topics)), data)


def test_swaps_are_read_out_of_every_familys_logs() -> None:
    v2, v3 = (
        b"Swap(address,uint256,uint256,uint256,uint256,address)",
        b"Swap(address,address,int256,int256,uint160,uint128,int24)",
    )
    vault = b"Swap(bytes32,address,address,uint256,uint256)"
    low, high = bytes(12) + b"\x01" * 20, bytes(12) + b"\x02" * 20
    read = mined_swaps(
        [
            receipt(
                log(v2, word(7, 0, 0, 9)),
                log(v2, word(0, 7, 9, 0)),
                log(v2, word(7, 7, 9, 9)),
                log(v2, word(7)),
                log(v3, word(7, -9, 1, 1, 1)),
                log(v3, word(-9, 7, 1, 1, 1)),
                log(v3, word(7, 9, 1, 1, 1)),
                log(v3, word(1)),
                log(vault, word(7, 9), OTHER_POOL, low, high),
                log(vault, word(7, 9), OTHER_POOL, high, low),
                log(vault, word(7)),
                log(b"Transfer(address,address,uint256)", word(1)),
                Log(AddressHex(POOL), (), word(1)),
            )
        ]
    )

    assert [(one.pool_id, one.direction, one.amount_in, one.amount_out) for one in read] == [
        (pool, direction, 7, 9) for pool in (POOL, POOL, OTHER_POOL) for direction in (0, 1)
    ]
    assert {(one.transaction, one.origin, one.destination) for one in read} == {(Hash32(hash_of("a")), ALICE, BOT)}
