"""What cannot be true of a lender's state.

LendingError
├── UnknownReserve      an asset, market or price that was never told
├── StateContradicted   a balance below zero, an index that is zero: our fault or a lying source, never the lender's
└── LogMalformed        a log that is not laid out as its event
"""

from __future__ import annotations


class LendingError(Exception):
    """Base of everything this package raises."""


class UnknownReserve(LendingError):
    """An asset, market or price that was never told."""


class StateContradicted(LendingError):
    """A balance below zero, or an index that is zero: our fault or a lying source, never the lender's."""


class LogMalformed(LendingError):
    """A log that is not laid out as its event."""
