"""The error tree: whose fault, what and where."""

from __future__ import annotations

import pickle

import pytest

from protocol import errors


def test_an_error_says_what_and_where() -> None:
    error = errors.FieldOutOfRange("zero", "order.finder")
    assert (str(error), error.what, error.where) == ("order.finder: zero", "zero", "order.finder")
    assert str(errors.BadSignature("high s")) == "high s"


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.WrongDomain("other chain", "envelope")))
    assert (type(error), error.what, error.where) == (errors.WrongDomain, "other chain", "envelope")


@pytest.mark.parametrize("ours", [errors.InvalidField, errors.TooLarge, errors.Misuse])
def test_our_faults_are_never_the_senders(ours: type[errors.ProtocolError]) -> None:
    assert issubclass(ours, errors.LocalProtocolError)
    assert not issubclass(ours, errors.RemoteProtocolError)
