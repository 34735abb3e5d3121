"""Errors of the protocol: whose fault it was decides the type.

ProtocolError                    what is wrong, and where (a field path such as `envelope.payload.targetBlock`)
├── gossip.GossipVerdict         a gossiped message that is ignored, or rejected (protocol/gossip.py)
├── LocalProtocolError           our fault: this node asked for something that the protocol does not allow
│   ├── InvalidField             a value outside the range or shape of its field, when a message is built here
│   ├── TooLarge                 a message built here would exceed its size cap
│   └── Misuse                   an operation called in a state or with an argument that can never work
└── RemoteProtocolError          the sender's fault: bytes that a correct peer never sends
    ├── MalformedMessage         the bytes do not parse as what they must be
    │   ├── TruncatedMessage     they end too early
    │   ├── TrailingBytes        they go on after the end
    │   ├── NonCanonical         they parse, but another encoding of the same value is the only allowed one
    │   ├── UnknownKind          a kind, type or discriminator that this version does not know
    │   └── FieldOutOfRange      a field that parses, with a value outside its range
    ├── OversizeMessage          more bytes or items than the cap of their kind
    ├── WrongVersion             another version of the protocol
    ├── WrongDomain              signed for another chain, registry or protocol name
    ├── BadSignature             not a strict signature, or of somebody else
    ├── BadSeal                  a box that our key does not open, or that holds something else than it says
    └── Expired                  past its expiry, or from the future; a relay of it is not to blame (gossip ignores it)

Messages name the field and the limits. They never carry keys, payloads that may be secret, or signatures.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """What is wrong, and `where`: the path of the field, or empty for the whole message."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where

    def __reduce__(self) -> tuple[type[ProtocolError], tuple[str, str]]:
        return type(self), (self.what, self.where)


class LocalProtocolError(ProtocolError):
    """This node asked for something that the protocol does not allow."""


class InvalidField(LocalProtocolError):
    """A value outside the range or shape of its field, when a message is built here."""


class TooLarge(LocalProtocolError):
    """A message built here would exceed its size cap."""


class Misuse(LocalProtocolError):
    """An operation called in a state or with an argument that can never work."""


class RemoteProtocolError(ProtocolError):
    """The sender broke the protocol: a correct peer never sends these bytes."""


class MalformedMessage(RemoteProtocolError):
    """The bytes do not parse as what they must be."""


class TruncatedMessage(MalformedMessage):
    """The bytes end too early."""


class TrailingBytes(MalformedMessage):
    """The bytes go on after the end of the message."""


class NonCanonical(MalformedMessage):
    """The bytes parse, but another encoding of the same value is the only allowed one."""


class UnknownKind(MalformedMessage):
    """A kind, type or discriminator that this version does not know."""


class FieldOutOfRange(MalformedMessage):
    """A field that parses, with a value outside its range."""


class OversizeMessage(RemoteProtocolError):
    """More bytes or items than the cap of their kind."""


class WrongVersion(RemoteProtocolError):
    """Another version of the protocol."""


class WrongDomain(RemoteProtocolError):
    """Signed for another chain, registry or protocol name."""


class BadSignature(RemoteProtocolError):
    """Not a strict signature (length, v, ranges, low s), or of somebody else than the message says."""


class BadSeal(RemoteProtocolError):
    """A box that our key does not open, or that holds something else than its outside says."""


class Expired(RemoteProtocolError):
    """Past its expiry, or made further in the future than clocks may differ."""
