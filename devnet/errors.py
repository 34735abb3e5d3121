"""Errors of the devnet that its user can act on.

DevnetError                what went wrong and what to do, in one sentence each; the command line prints it
├── ToolMissing            Node.js, npm or Anvil is not there and could not be installed
├── PortTaken              another program listens where the devnet should
├── LockHeld               another devnet runs in the same home
├── StateCorrupt           a stored file is cut short, altered or of another version
├── StorageFailed          the disk is full or not writable
├── ChainFailed            Anvil died or answered with garbage
├── AnswerTooLarge         a JSON-RPC server's answer is over the client's bound
└── RpcError               a JSON-RPC server answered with an error object
"""

from __future__ import annotations

from governance.log_ranges import CallRefused


class DevnetError(Exception):
    """What went wrong and what the user can do about it."""


class ConfigInvalid(DevnetError):
    """An option is out of its range."""


class ToolMissing(DevnetError):
    """Node.js, npm or Anvil is not there and could not be installed."""


class PortTaken(DevnetError):
    """Another program listens where the devnet should."""


class LockHeld(DevnetError):
    """Another devnet runs in the same home."""


class StateCorrupt(DevnetError):
    """A stored file is cut short, altered or of another version."""


class StorageFailed(DevnetError):
    """The disk is full or not writable."""


class ChainFailed(DevnetError):
    """Anvil died, hung past its deadline, or answered with garbage."""


class AnswerTooLarge(DevnetError):
    """A JSON-RPC server's answer is over the client's bound: ask for less."""


class RpcError(DevnetError, CallRefused):
    """A JSON-RPC server answered with an error object."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data
