"""Units: rounding goes where the name says, and nothing negative slips through."""

from __future__ import annotations

import pytest

from protocol.errors import InvalidField
from protocol.units import (
    BasisPoints,
    BootId,
    ChainId,
    Gwei,
    ProfitBucket,
    TokenAmount,
    UnixMilliseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
    basis_points_between_down,
    basis_points_between_up,
    basis_points_of_down,
    boot_id_of,
    gwei_from_wei_down,
    gwei_from_wei_up,
    max_uint,
    milliseconds_from_seconds,
    milliseconds_of,
    multiply_divide_down,
    multiply_divide_up,
    profit_bucket_of,
    seconds_from_milliseconds_down,
    sequence_number,
    smallest_of_bucket,
    wei_from_gwei,
)


def test_a_share_is_rounded_as_its_name_says() -> None:
    assert basis_points_of_down(TokenAmount(9_999), BasisPoints(1)) == 0
    assert basis_points_of_down(Wei(20_000), BasisPoints(25)) == 50


def test_the_share_of_a_part_is_rounded_as_its_name_says() -> None:
    assert (basis_points_between_down(1, 3), basis_points_between_up(1, 3)) == (3_333, 3_334)
    assert basis_points_between_down(7, 7) == basis_points_between_up(7, 7) == 10_000


def test_products_larger_than_256_bits_are_exact() -> None:
    huge = max_uint(256)
    assert multiply_divide_down(huge, huge, huge) == multiply_divide_up(huge, huge, huge) == huge


@pytest.mark.parametrize("divide", [multiply_divide_down, multiply_divide_up])
@pytest.mark.parametrize("arguments", [(-1, 1, 1), (1, -1, 1), (1, 1, 0), (1, 1, -1)])
def test_negative_amounts_and_zero_denominators_are_refused(divide, arguments) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidField):
        divide(*arguments)


def test_gwei_and_wei_convert_with_a_named_rounding() -> None:
    assert wei_from_gwei(Gwei(3)) == 3_000_000_000
    assert gwei_from_wei_down(Wei(1_999_999_999)) == 1
    assert gwei_from_wei_up(Wei(1_000_000_001)) == 2


def test_times_convert_with_a_named_rounding() -> None:
    assert milliseconds_from_seconds(UnixSeconds(5)) == 5_000
    assert seconds_from_milliseconds_down(UnixMilliseconds(5_999)) == 5


def test_a_sequence_number_orders_by_time_then_by_boot() -> None:
    number = sequence_number(UnixMilliseconds(5), BootId(9))
    assert (milliseconds_of(number), boot_id_of(number)) == (5, 9)
    assert number < sequence_number(UnixMilliseconds(5), BootId(10)) < sequence_number(UnixMilliseconds(6), BootId(0))


@pytest.mark.parametrize(("time", "boot"), [(-1, 0), (1 << 64, 0), (0, -1), (0, 1 << 64)])
def test_a_sequence_number_has_64_bits_for_each_part(time: int, boot: int) -> None:
    with pytest.raises(InvalidField):
        sequence_number(UnixMilliseconds(time), BootId(boot))


def test_a_profit_bucket_tells_the_order_of_magnitude_only() -> None:
    assert [profit_bucket_of(Wei(amount)) for amount in (0, 1, 2, 3, 4)] == [0, 1, 2, 2, 3]
    assert [smallest_of_bucket(ProfitBucket(bucket)) for bucket in range(4)] == [0, 1, 2, 4]
    with pytest.raises(InvalidField):
        profit_bucket_of(Wei(-1))


def test_an_address_is_read_from_hex_of_any_case_and_written_in_lower_case() -> None:
    text = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
    assert address_to_hex(address_from_hex(text)) == text.lower()


@pytest.mark.parametrize(
    "text", ["", "0x", "00" * 21, "0x" + "0" * 39, "0x" + "0" * 39 + "g", "0x" + "0 " * 20, "0x" + "٣" * 40]
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidField):
        address_from_hex(text)


def test_units_are_plain_integers_at_run_time() -> None:
    assert type(ChainId(1)) is int
