"""What can go wrong in a deployment.

DeployError
├── SettingsRefused      settings that would make a network that cannot be governed, slashed or left: every one by name
├── ChainRefused         the chain is not as the plan needs it: other chain, nonce, code, too little money
├── JournalRefused       the journal is another plan's, or cannot be read or written
├── NotApproved          whoever was asked said no; nothing was sent
├── StepFailed           a step would revert, or reverted
├── NotMined             a step was sent and not mined in time: it may still be
├── ReadBackFailed       what stands on the chain is not what was planned: every difference by name
└── CallReverted         a call or an estimate reverted; `data` is what the contract said
"""

from __future__ import annotations

from collections.abc import Sequence


class DeployError(Exception):
    """Base of all that a deployment raises by itself."""


class SettingsRefused(DeployError):
    """Settings that must not be deployed; `problems` names each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ChainRefused(DeployError):
    """The chain is not as the plan needs it."""


class JournalRefused(DeployError):
    """The journal is another plan's, or cannot be read or written."""


class NotApproved(DeployError):
    """Whoever was asked said no; nothing was sent."""


class StepFailed(DeployError):
    """A step would revert, or reverted."""


class NotMined(DeployError):
    """A step was sent and not mined in time: it may still be."""


class ReadBackFailed(DeployError):
    """What stands on the chain is not what was planned; `findings` names each difference."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("; ".join(findings))
        self.findings = tuple(findings)


class CallReverted(DeployError):
    """A call or an estimate reverted; `data` is what the contract said."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(f"reverted: 0x{data[:64].hex()}")
        self.data = data
