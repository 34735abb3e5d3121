"""Errors of the links between the node's processes.

LinkError                 the other process, or the way to it
├── LinkUnavailable       nobody answered before the deadline
├── LinkRefused           the listening side said no, and why
├── LinkClosed            the other side has closed, or died
├── LinkBusy              a blocking queue stayed full until the deadline: the message was not taken
└── SocketUnusable        the socket's path is too long, taken by a living process, or something else than a socket

Wrong bytes are protocol.errors.RemoteProtocolError.
"""

from __future__ import annotations


class LinkError(Exception):
    """The other process, or the way to it."""


class LinkUnavailable(LinkError):
    """Nobody answered before the deadline."""


class LinkRefused(LinkError):
    """The listening side said no, and why."""


class LinkClosed(LinkError):
    """The other side has closed, or died."""


class LinkBusy(LinkError):
    """A blocking queue stayed full until the deadline: the message was not taken."""


class SocketUnusable(LinkError):
    """The socket's path is too long, taken by a living process, or something else than a socket."""
