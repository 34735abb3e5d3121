"""Errors of the node that its operator can act on.

NodeError            what went wrong and what to do, in one line; the command line prints it
└── SetupError       wrong until the operator mends it: starting again does not help (configuration, keystore, ledger)
"""

from __future__ import annotations


class NodeError(Exception):
    """What went wrong and what the operator can do about it."""


class SetupError(NodeError):
    """Wrong until the operator mends it: starting again does not help."""
