"""Errors of the engine.

NodeError
├── SpoolFailed      the spool cannot be written or is full: nothing more may be sent
└── EngineFault      the engine cannot go on; the supervisor starts it anew
"""

from __future__ import annotations

from node.errors import NodeError


class SpoolFailed(NodeError):
    """The spool cannot be written or is full: nothing more may be sent."""


class EngineFault(NodeError):
    """The engine cannot go on; the supervisor starts it anew."""
