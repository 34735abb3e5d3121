"""Call data of the Universal Router, Balancer's Vault and Curve's routers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from node.pipeline.amm.uniswap_v4 import pool_id
from node.pipeline.decoders import RoutedSwap, Step, decode_steps, decode_swaps
from node.pipeline.decoders_core import (
    MANAGER,
    OPEN,
    OWED,
    ROUTER,
    ROUTERS_ALL,
    SENDER,
    UNLIMITED,
    Payment,
    PlannedSwap,
    Venue,
)
from node.pipeline.pools import CURVE_KEY, V2_KEYS, V3_KEY, V4_KEY, PoolFamily
from node.pipeline.router_functions import describe_call
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.hot_path import pending_from_json
from protocol.ethereum.transaction_fields import TransactionType
from protocol.ethereum.transactions import to_rpc
from protocol.units import Address, address_to_hex
from tests.ethereum_samples import TARGET, signed

COIN = Address(b"\xee" * 20)
NONE = Address(bytes(20))
ONE, TWO, THREE = (Address(bytes((number,)) * 20) for number in (1, 2, 3))
THIS, WHO = Address(b"\x77" * 20), Address(b"\x88" * 20)
A, B, C, E, Z = (address_to_hex(token) for token in (ONE, TWO, THREE, COIN, NONE))
FEE = (3000).to_bytes(3, "big")
V2 = V2_KEYS[PoolFamily.UNISWAP_V2]
ALL = 1 << 255
SWAP_INPUT = ("address", "uint256", "uint256", "bytes", "bool")
PAIR_INPUT = ("address", "uint256", "uint256", "address[]", "bool")
EXECUTE = "execute(bytes,bytes[],uint256)"
PATH_KEY = "(address,uint24,int24,address,bytes)[]"
BATCH = (
    "batchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool),int256[],uint256)"
)
P, Q = b"\x0a" * 32, b"\x0b" * 32


def universal(*commands: tuple[int, bytes], value: int = 0, deadline: int = 99) -> tuple[RoutedSwap, ...]:
    return tuple([step for step in planned(*commands, value=value, deadline=deadline) if isinstance(step, RoutedSwap)])


def planned(*commands: tuple[int, bytes], value: int = 0, deadline: int = 99) -> tuple[Step, ...]:
    data = encode_call(EXECUTE, bytes(kind for kind, _ in commands), [given for _, given in commands], deadline)
    steps = decode_steps(RouterKind.UNIVERSAL, data, value, COIN, THIS, WHO)
    assert all(step.deadline == deadline for step in steps if isinstance(step, RoutedSwap))
    return tuple([msgspec.structs.replace(step, deadline=0) for step in steps])


def at_v4(
    keys: tuple[bytes, ...], token_in: Address, token_out: Address, exact_in: bool, amount: int, limit: int
) -> PlannedSwap:
    ends = token_in, token_out, exact_in
    return PlannedSwap(keys, *ends, amount, limit, venue=Venue.V4, payer=MANAGER, recipient=MANAGER)


def v3_input(amount: int, limit: int, *path: bytes) -> bytes:
    return encode(SWAP_INPUT, (A, amount, limit, b"".join(path), True))


def v4_swap(*actions: tuple[int, bytes]) -> tuple[int, bytes]:
    return 0x10, encode(("bytes", "bytes[]"), (bytes(kind for kind, _ in actions), [given for _, given in actions]))


def test_v3_and_v2_swaps_of_the_universal_router_are_read_with_their_deadline() -> None:
    swaps = universal(
        (0x00, v3_input(5, 4, ONE, FEE, TWO)),
        (0x81, v3_input(7, 8, THREE, FEE, TWO, FEE, ONE)),
        (0x08, encode(PAIR_INPUT, (A, 0, 3, [A, B], False))),
        (0x09, encode(PAIR_INPUT, (A, 6, 9, [A, B, C], True))),
    )

    assert swaps == (
        PlannedSwap((V3_KEY + ONE + FEE + TWO,), ONE, TWO, True, 5, 4, recipient=ONE),
        PlannedSwap((V3_KEY + ONE + FEE + TWO, V3_KEY + TWO + FEE + THREE), ONE, THREE, False, 7, 8, recipient=ONE),
        PlannedSwap((V2 + ONE + TWO,), ONE, TWO, True, 0, 3, venue=Venue.V2, payer=ROUTER, recipient=ONE),
        PlannedSwap((V2 + ONE + TWO, V2 + TWO + THREE), ONE, THREE, False, 6, 9, venue=Venue.V2, recipient=ONE),
    )
    untimed = encode_call("execute(bytes,bytes[])", b"\x00", [v3_input(5, 4, ONE, FEE, TWO)])
    assert decode_swaps(RouterKind.UNIVERSAL, untimed, 0, COIN)[0].deadline == 0


def test_a_deadline_of_nothing_has_passed_and_no_deadline_has_not() -> None:
    data = encode_call(EXECUTE, b"\x00", [v3_input(5, 4, ONE, FEE, TWO)], 0)

    assert [swap.deadline for swap in decode_swaps(RouterKind.UNIVERSAL, data, 0, COIN)] == [1]


def test_a_signed_call_is_read_as_one_that_is_not() -> None:
    plan = b"\x00", [v3_input(5, 4, ONE, FEE, TWO)]
    signed_call = "executeSigned(bytes,bytes[],bytes32,bytes32,bool,bytes32,bytes,uint256)"
    data = encode_call(signed_call, *plan, P, Q, True, P, b"s" * 65, 99)

    assert decode_swaps(RouterKind.UNIVERSAL, data, 0, COIN) == decode_swaps(
        RouterKind.UNIVERSAL, encode_call(EXECUTE, *plan, 99), 0, COIN
    )


def pay(token: Address, to: Address, amount: int) -> bytes:
    return encode(("address", "address", "uint256"), (address_to_hex(token), address_to_hex(to), amount))


def test_payments_between_swaps_say_from_whom_and_to_whom() -> None:
    swap = v3_input(5, 4, ONE, FEE, TWO)
    of_ether = [
        encode(("address", "uint256"), (address_to_hex(to), amount)) for to, amount in ((ROUTER, ALL), (WHO, 3))
    ]
    batch_types = ("(address,address,uint160,address)[]",)
    batch = encode(batch_types, ([(address_to_hex(WHO), address_to_hex(THIS), 7, A)],))

    steps = planned(
        (0x0B, of_ether[0]),
        (0x02, pay(ONE, THREE, 5)),
        (0x0D, batch),
        (0x00, swap),
        (0x05, pay(ONE, THREE, ALL)),
        (0x06, pay(ONE, THREE, 25)),
        (0x04, pay(TWO, SENDER, 9)),
        (0x0C, of_ether[1]),
        value=100,
    )

    assert steps == (
        Payment(NONE, SENDER, ROUTER, 100),
        Payment(NONE, ROUTER, ROUTER, ROUTERS_ALL, becomes=COIN),
        Payment(ONE, SENDER, THREE, 5),
        Payment(ONE, SENDER, ROUTER, 7),
        PlannedSwap((V3_KEY + ONE + FEE + TWO,), ONE, TWO, True, 5, 4, recipient=ONE),
        Payment(ONE, ROUTER, THREE, ROUTERS_ALL),
        Payment(ONE, ROUTER, THREE, ROUTERS_ALL, portion=25),
        Payment(TWO, ROUTER, SENDER, ROUTERS_ALL, 9),
        Payment(COIN, ROUTER, SENDER, ROUTERS_ALL, 3, becomes=NONE),
    )


def test_payments_without_a_swap_are_no_swap() -> None:
    assert planned((0x05, pay(ONE, THREE, 5))) == ()


@pytest.mark.parametrize(
    "command",
    [
        (0x40, v3_input(5, 4, ONE, FEE, TWO)),
        (0x0E, b""),
        (0x14, b""),
        (0x05, pay(NONE, THREE, ALL)),
        (0x06, pay(ONE, THREE, 10_001)),
        (0x04, pay(ONE, THREE, 1 << 160)),
        (0x0D, encode(("(address,address,uint160,address)[]",), ([(A, B, 7, A)],))),
        (0xA1, encode(("bytes", "bytes[]"), (b"", []))),
    ],
)
def test_a_plan_with_what_may_end_otherwise_is_left_unread(command: tuple[int, bytes]) -> None:
    assert planned((0x00, v3_input(5, 4, ONE, FEE, TWO)), command) == ()


def test_permits_and_checks_that_may_fail_are_passed_over_and_plans_inside_are_not() -> None:
    inside = encode(("bytes", "bytes[]"), (b"\x00", [v3_input(5, 4, ONE, FEE, TWO)]))

    assert len(planned((0x0A, b""), (0x8E, b""), (0x21, inside))) == 1
    for _ in range(3):
        inside = encode(("bytes", "bytes[]"), (b"\x21", [inside]))
    assert planned((0x21, inside)) == ()


@pytest.mark.parametrize("newer", [False, True])
def test_v4_swaps_name_the_pool_by_the_hash_of_its_key(newer: bool) -> None:
    key = (A, B, 500, 10, Z)
    word = (0,) if newer else ()
    single = f"((address,address,uint24,int24,address),bool,uint128,uint128{',uint256' * newer},bytes)"
    array = ("uint256[]",) if newer else ()
    empty: tuple[Any, ...] = ([],) if newer else ()
    path = f"({','.join(('address', PATH_KEY, *array, 'uint128', 'uint128'))})"
    steps = [(B, 500, 10, Z, b""), (C, 3000, 60, C, b"x")]
    back = [(A, 500, 10, Z, b""), (B, 3000, 60, C, b"x")]
    first = V4_KEY + pool_id(ONE, TWO, 500, 10, NONE)
    second = V4_KEY + pool_id(TWO, THREE, 3000, 60, THREE)

    swaps = universal(
        v4_swap(
            (0x06, encode((single,), ((key, True, 5, 4, *word, b""),))),
            (0x08, encode((single,), ((key, False, 7, 8, *word, b"hook"),))),
            (0x07, encode((path,), ((A, steps, *empty, 9, 1),))),
            (0x09, encode((path,), ((C, back, *empty, 6, 2),))),
        )
    )

    assert swaps == (
        at_v4((first + ONE + TWO,), ONE, TWO, True, 5, 4),
        at_v4((first + TWO + ONE,), TWO, ONE, False, 7, 8),
        at_v4((first + ONE + TWO, second + TWO + THREE), ONE, THREE, True, 9, 1),
        at_v4((first + ONE + TWO, second + TWO + THREE), ONE, THREE, False, 6, 2),
    )


def test_v4s_payments_go_by_the_routers_account_with_its_manager() -> None:
    single = "((address,address,uint24,int24,address),bool,uint128,uint128,bytes)"
    of_user, of_router = (encode(("address", "uint256", "bool"), given) for given in ((A, 0, True), (Z, ALL, True)))

    steps = planned(
        v4_swap(
            (0x06, encode((single,), (((A, B, 500, 10, Z), True, 0, 4, b""),))),
            (0x0B, of_user),
            (0x0B, of_router),
            (0x0C, encode(("address", "uint256"), (A, 8))),
            (0x0E, pay(TWO, THIS, 0)),
            (0x0F, encode(("address", "uint256"), (B, 9))),
            (0x10, pay(TWO, THREE, 25)),
        )
    )

    assert steps[1:] == (
        Payment(ONE, SENDER, MANAGER, OWED),
        Payment(NONE, ROUTER, MANAGER, ROUTERS_ALL),
        Payment(ONE, SENDER, MANAGER, OWED, 0, 8),
        Payment(TWO, MANAGER, ROUTER, OPEN),
        Payment(TWO, MANAGER, SENDER, OPEN, 9),
        Payment(TWO, MANAGER, THREE, OPEN, 0, UNLIMITED, 25),
        Payment(NONE, MANAGER, MANAGER, 0, settles=True),
    )
    (swap,) = [step for step in steps if isinstance(step, RoutedSwap)]
    assert swap.amount == OPEN


def test_what_is_not_laid_out_as_the_universal_router_reads_it_is_no_swap() -> None:
    key = (A, B, 500, 10, Z)
    single = "((address,address,uint24,int24,address),bool,uint256,uint128,bytes)"
    path = f"(address,{PATH_KEY},uint128,uint128)"
    limited, limited_single = f"(address,{PATH_KEY},uint256[],uint128,uint128)", f"{single[:-6]}uint256,bytes)"
    negative = "((address,address,uint24,int24,address),bool,uint128,uint128,bytes)"
    for action in (
        (0x06, encode((single,), ((key, True, 1 << 128, 4, b""),))),
        (0x06, encode((negative,), (((A, B, 500, -10, Z), True, 1, 4, b""),))),
        (0x07, encode((path,), ((A, [], 9, 1),))),
        (0x07, encode((path,), ((A, [(B, 1, 1, Z, b"")] * 9, 9, 1),))),
        (0x07, encode((limited,), ((A, [(B, 1, 1, Z, b"")], [1], 9, 1),))),
        (0x06, encode((limited_single,), ((key, True, 1, 4, 1, b""),))),
        (0x0D, b""),
    ):
        assert universal(v4_swap(action)) == ()
    assert universal((0x00, v3_input(5, 4, ONE))) == ()
    assert universal((0x10, encode(("bytes", "bytes[]"), (b"\x06\x06", [b""])))) == ()
    assert universal(*[(0x0A, b"")] * 33) == ()
    unpaired = encode_call(EXECUTE, b"\x00\x00", [v3_input(5, 4, ONE, FEE, TWO)], 1)
    assert decode_swaps(RouterKind.UNIVERSAL, unpaired, 0, COIN) == ()


def batch(kind: int, steps: list[Any], limits: list[int]) -> tuple[RoutedSwap, ...]:
    data = encode_call(BATCH, kind, steps, [A, B, Z], (A, False, A, False), limits, 99)
    return decode_swaps(RouterKind.BALANCER_V2, data, 0, COIN)


def test_steps_of_a_batch_without_an_amount_go_on_with_the_path() -> None:
    forwards = batch(0, [(P, 0, 1, 5, b""), (Q, 1, 2, 0, b"")], [5, 0, -4])
    backwards = batch(1, [(Q, 1, 2, 4, b""), (P, 0, 1, 0, b"")], [5, 0, -4])
    keys = (P + ONE + TWO, Q + TWO + COIN)

    assert forwards == (RoutedSwap(keys, ONE, COIN, True, 5, 4, 0, 99),)
    assert backwards == (RoutedSwap(keys, ONE, COIN, False, 4, 5, 0, 99),)


def test_limits_of_a_batch_of_several_paths_bind_none_of_them() -> None:
    steps = [(P, 0, 1, 5, b""), (Q, 0, 1, 6, b"")]

    assert [swap.limit for swap in batch(0, steps, [11, -9, 0])] == [0, 0]
    assert [swap.limit for swap in batch(1, steps, [11, -9, 0])] == [(1 << 256) - 1] * 2
    assert batch(0, steps[:1], [5, 9, 0])[0].limit == 0


@pytest.mark.parametrize(
    ("kind", "steps", "limits"),
    [
        (2, [(P, 0, 1, 5, b"")], [0, 0, 0]),
        (0, [], [0, 0, 0]),
        (0, [(P, 0, 3, 5, b"")], [0, 0, 0]),
        (0, [(P, 0, 1, 0, b"")], [0, 0, 0]),
        (0, [(P, 0, 1, 5, b""), (Q, 0, 2, 0, b"")], [0, 0, 0]),
        (1, [(P, 0, 1, 5, b""), (Q, 1, 2, 0, b"")], [0, 0, 0]),
        (0, [(P, 0, 1, 5, b"")], [0, 0]),
        (0, [(P, 0, 1, 5, b""), *[(P, 1, 1, 0, b"")] * 8], [0, 0, 0]),
        (0, [(P, 0, 1, 5, b"")] * 17, [0, 0, 0]),
    ],
)
def test_a_batch_that_the_vault_would_refuse_is_no_swap(kind: int, steps: list[Any], limits: list[int]) -> None:
    assert batch(kind, steps, limits) == ()


def test_a_batch_of_one_asset_is_no_swap() -> None:
    data = encode_call(BATCH, 0, [(P, 0, 0, 5, b"")], [A], (A, False, A, False), [0], 99)

    assert decode_swaps(RouterKind.BALANCER_V2, data, 0, COIN) == ()


ROUTE = "address[11],uint256[5][5],uint256,uint256"
OLD_ROUTE = "address[9],uint256[3][4],uint256,uint256"


@pytest.mark.parametrize("more", [(), (",address[5]", [Z] * 5), (",address[5],address", [Z] * 5, A)])
def test_curves_routes_are_read_as_tokens_and_pools(more: tuple[Any, ...]) -> None:
    types, arguments = (more[0], more[1:]) if more else ("", ())
    route = [A, B, C, C, E, *[Z] * 6]
    data = encode_call(f"exchange({ROUTE}{types})", route, [[0] * 5] * 5, 7, 6, *arguments)

    assert decode_swaps(RouterKind.CURVE, data, 0, COIN) == (
        RoutedSwap((CURVE_KEY + TWO + ONE + THREE, CURVE_KEY + THREE + THREE + COIN), ONE, COIN, True, 7, 6),
    )
    described = describe_call(RouterKind.CURVE, data)
    assert described is not None
    assert described.arguments["_amount"] == 7
    assert described.arguments["_swap_params"] == [[0] * 5] * 5


def test_the_older_curve_router_and_what_is_no_route() -> None:
    full = [A, B, C, A, B, C, A, B, C]
    data = encode_call(f"exchange_multiple({OLD_ROUTE})", full, [[0] * 3] * 4, 7, 6)
    assert len(decode_swaps(RouterKind.CURVE, data, 0, COIN)[0].keys) == 4

    for route in ([Z] * 9, [A, *[Z] * 8], [A, B, Z, *[Z] * 6]):
        broken = encode_call(f"exchange_multiple({OLD_ROUTE})", route, [[0] * 3] * 4, 7, 6)
        assert decode_swaps(RouterKind.CURVE, broken, 0, COIN) == ()


@pytest.mark.parametrize("kind", list(TransactionType))
def test_a_swap_is_read_out_of_every_envelope(kind: TransactionType) -> None:
    data = encode_call(EXECUTE, b"\x00", [v3_input(5, 4, ONE, FEE, TWO)], 99)
    transaction = signed(kind, data=data, value=7)
    body = msgspec.json.encode(to_rpc(transaction))

    pending = pending_from_json(body, {TARGET})

    assert pending is not None
    assert (pending.type, pending.hash, pending.sender) == (kind, transaction.hash, transaction.sender)
    assert decode_swaps(RouterKind.UNIVERSAL, pending.data, pending.value, COIN) == (
        PlannedSwap((V3_KEY + ONE + FEE + TWO,), ONE, TWO, True, 5, 4, 0, 99, recipient=ONE),
    )
