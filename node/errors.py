"""Errors of the node that its operator can act on.

NodeError    what went wrong and what to do, in one line; the command line prints it
"""

from __future__ import annotations


class NodeError(Exception):
    """What went wrong and what the operator can do about it."""
