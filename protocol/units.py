"""Quantities with their unit in the type, and integer arithmetic with its rounding direction in the name.

Amounts are Python integers in the smallest unit; a float never enters. `..._down` rounds towards zero, `..._up` away
from it, both for non-negative operands only: what we receive is rounded down, what we owe is rounded up.
"""

from __future__ import annotations

from typing import Final, NewType, TypeVar, cast

from protocol.errors import InvalidField

Wei = NewType("Wei", int)
"""10^-18 of the chain's coin; also the smallest unit of a profit token where a contract's field is named so."""
Gwei = NewType("Gwei", int)
"""10^9 wei."""
TokenAmount = NewType("TokenAmount", int)
"""Smallest units of some ERC-20 token; which one, and its decimals, is told elsewhere."""
BasisPoints = NewType("BasisPoints", int)
"""1/10,000."""
BlockNumber = NewType("BlockNumber", int)
EpochNumber = NewType("EpochNumber", int)
"""Block number divided by the epoch's length, rounded down."""
Gas = NewType("Gas", int)
ChainId = NewType("ChainId", int)
"""EIP-155."""
UnixSeconds = NewType("UnixSeconds", int)
UnixMilliseconds = NewType("UnixMilliseconds", int)
UnixNanoseconds = NewType("UnixNanoseconds", int)
BootId = NewType("BootId", int)
"""Names one run of one node's process; 64 bits."""
SequenceNumber = NewType("SequenceNumber", int)
"""128 bits: Unix milliseconds · 2^64 + boot id."""
StakeUnits = NewType("StakeUnits", int)
"""Smallest units of the staked token; all of them together fit 96 bits."""
ProfitBucket = NewType("ProfitBucket", int)
"""An amount told by its order of magnitude only: 0 is nothing, n means 2^(n-1) ≤ wei < 2^n."""

Address = NewType("Address", bytes)
"""20 bytes."""
Hash32 = NewType("Hash32", bytes)
"""32 bytes of Keccak-256, or of whatever a contract declares as bytes32."""
PeerIdHash = NewType("PeerIdHash", Hash32)
"""Keccak-256 of the bytes of a libp2p peer id."""
LegKey = NewType("LegKey", Hash32)
"""keccak(chainId, targetBlock, triggerTx or 0, poolId, direction): one leg of a route, in one block."""
SignatureBytes = NewType("SignatureBytes", bytes)
"""65 bytes r ‖ s ‖ v, v = 27 or 28."""

ADDRESS_BYTES: Final = 20
HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 65
BASIS_POINTS_ONE: Final = 10_000
WEI_PER_GWEI: Final = 10**9
MILLISECONDS_PER_SECOND: Final = 1_000
ZERO_ADDRESS: Final = Address(bytes(ADDRESS_BYTES))
ZERO_HASH: Final = Hash32(bytes(HASH_BYTES))

_Amount = TypeVar("_Amount", bound=int)
_BOOT_ID_BITS: Final = 64


def max_uint(bits: int) -> int:
    """Return the largest value of a `uintN`."""
    return (1 << bits) - 1


def multiply_divide_down(amount: int, numerator: int, denominator: int) -> int:
    """Return ⌊amount · numerator / denominator⌋; all non-negative, the denominator positive."""
    _require_non_negative(amount, numerator)
    _require_positive(denominator)
    return amount * numerator // denominator


def multiply_divide_up(amount: int, numerator: int, denominator: int) -> int:
    """Return ⌈amount · numerator / denominator⌉; all non-negative, the denominator positive."""
    _require_non_negative(amount, numerator)
    _require_positive(denominator)
    return -(-amount * numerator // denominator)


def basis_points_of_down(amount: _Amount, share: BasisPoints) -> _Amount:
    """Return `share` of `amount`, rounded down, in the unit of `amount`."""
    return cast(_Amount, multiply_divide_down(amount, share, BASIS_POINTS_ONE))


def basis_points_between_down(part: int, whole: int) -> BasisPoints:
    """Return what share of `whole` (positive) `part` is, rounded down; more than 10,000 if it is larger."""
    return BasisPoints(multiply_divide_down(part, BASIS_POINTS_ONE, whole))


def basis_points_between_up(part: int, whole: int) -> BasisPoints:
    """Return what share of `whole` (positive) `part` is, rounded up; more than 10,000 if it is larger."""
    return BasisPoints(multiply_divide_up(part, BASIS_POINTS_ONE, whole))


def wei_from_gwei(amount: Gwei) -> Wei:
    """Return the same amount in wei, exactly."""
    return Wei(amount * WEI_PER_GWEI)


def gwei_from_wei_down(amount: Wei) -> Gwei:
    """Return `amount` in whole gwei, rounded down."""
    return Gwei(multiply_divide_down(amount, 1, WEI_PER_GWEI))


def gwei_from_wei_up(amount: Wei) -> Gwei:
    """Return `amount` in whole gwei, rounded up."""
    return Gwei(multiply_divide_up(amount, 1, WEI_PER_GWEI))


def milliseconds_from_seconds(time: UnixSeconds) -> UnixMilliseconds:
    """Return the same instant in milliseconds, exactly."""
    return UnixMilliseconds(time * MILLISECONDS_PER_SECOND)


def seconds_from_milliseconds_down(time: UnixMilliseconds) -> UnixSeconds:
    """Return the second in which `time` lies."""
    return UnixSeconds(multiply_divide_down(time, 1, MILLISECONDS_PER_SECOND))


def sequence_number(time: UnixMilliseconds, boot_id: BootId) -> SequenceNumber:
    """Return the number that orders an operator's envelopes: by time first, then by boot id.

    The sender takes max(now, last time + 1) ms for each envelope: its numbers rise strictly, across restarts too. The
    boot id tells a restarted node from a twin that runs at the same time.
    """
    if not (0 <= time <= max_uint(64) and 0 <= boot_id <= max_uint(_BOOT_ID_BITS)):
        raise InvalidField("outside 64 bits", "sequence")
    return SequenceNumber(time << _BOOT_ID_BITS | boot_id)


def milliseconds_of(sequence: SequenceNumber) -> UnixMilliseconds:
    """Return the time in a sequence number."""
    return UnixMilliseconds(sequence >> _BOOT_ID_BITS)


def boot_id_of(sequence: SequenceNumber) -> BootId:
    """Return the boot id in a sequence number."""
    return BootId(sequence & max_uint(_BOOT_ID_BITS))


def profit_bucket_of(amount: Wei) -> ProfitBucket:
    """Return the bucket of a non-negative amount: the number of its binary digits."""
    _require_non_negative(amount)
    return ProfitBucket(amount.bit_length())


def smallest_of_bucket(bucket: ProfitBucket) -> Wei:
    """Return the smallest amount in `bucket`."""
    _require_non_negative(bucket)
    return Wei(1 << bucket >> 1)


def address_from_hex(text: str) -> Address:
    """Return the 20 bytes of `0x` and 40 hex digits, of any case; a checksum is not looked at."""
    if len(text) != 2 + 2 * ADDRESS_BYTES or text[:2] != "0x" or not text.isascii() or not text.isalnum():
        raise InvalidField("not 0x and 40 hex digits", "address")
    try:
        return Address(bytes.fromhex(text[2:]))
    except ValueError:
        raise InvalidField("not 0x and 40 hex digits", "address") from None


def address_to_hex(address: Address) -> str:
    """Return `0x` and 40 lower-case hex digits."""
    return "0x" + address.hex()


def _require_non_negative(*values: int) -> None:
    if min(values) < 0:
        raise InvalidField("negative, but rounding is defined for non-negative amounts only", "amount")


def _require_positive(value: int) -> None:
    if value <= 0:
        raise InvalidField("not positive", "denominator")
