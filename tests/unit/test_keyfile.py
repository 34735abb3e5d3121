"""Keystores: standard, private to their owner, and every way in which one can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from node import keyfile
from node.keyfile import (
    KeystoreMalformed,
    KeystoreUnreadable,
    Password,
    PasswordUnusable,
    WrongPassword,
    new_secret,
    read_keystore,
    read_password,
    write_keystore,
)
from protocol.ethereum.keys import SECP256K1_N, SigningKey

SECRET = bytes(range(1, 33))
PASSWORD = Password("correct horse, bättery")
CHEAP = 2**4


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "hot.json"
    write_keystore(path, SECRET, PASSWORD, CHEAP)
    return path


def test_a_key_comes_back_with_its_password(keystore: Path) -> None:
    assert read_keystore(keystore, PASSWORD) == SECRET


def test_only_its_owner_can_read_it_and_it_shows_no_secret(keystore: Path) -> None:
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600
    assert stat.S_IMODE(keystore.parent.stat().st_mode) == 0o700
    assert SECRET.hex() not in keystore.read_text()


def test_a_key_is_never_written_over(keystore: Path) -> None:
    with pytest.raises(KeystoreUnreadable, match="File exists"):
        write_keystore(keystore, SECRET, PASSWORD, CHEAP)
    assert read_keystore(keystore, PASSWORD) == SECRET


def test_the_published_example_of_the_standard_is_read(tmp_path: Path) -> None:
    """The PBKDF2 test vector of the Web3 Secret Storage Definition."""
    path = tmp_path / "example.json"
    salt = "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256", "salt": salt},
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    }
    path.write_text(json.dumps({"Crypto": crypto, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}))

    secret = read_keystore(path, Password("testpassword"))

    assert secret.hex() == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


def test_a_wrong_password_is_told_without_either(keystore: Path) -> None:
    with pytest.raises(WrongPassword) as caught:
        read_keystore(keystore, Password("correct horse"))
    assert str(caught.value) == f"keystore {keystore}: wrong password"


def test_reading_a_keystore_leaves_the_recursion_limit(keystore: Path) -> None:
    limit = sys.getrecursionlimit()
    read_keystore(keystore, PASSWORD)
    assert sys.getrecursionlimit() == limit


def test_a_missing_keystore_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(KeystoreUnreadable, match="No such file"):
        read_keystore(tmp_path / "none.json", PASSWORD)
    with pytest.raises(KeystoreUnreadable, match="Is a directory"):
        read_keystore(tmp_path, PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.pop("crypto"),
        lambda store: store.update(version=4),
        lambda store: store.update(crypto=7),
        lambda store: store["crypto"].update(kdf="rot13"),
        lambda store: store["crypto"].update(kdfparams={}),
        lambda store: store["crypto"].pop("mac"),
        lambda store: store["crypto"].update(mac="zz"),
        lambda store: store["crypto"].update(ciphertext=None),
        lambda store: store["crypto"].pop("cipherparams"),
        lambda store: store["crypto"]["kdfparams"].update(n=2**30),
        lambda store: store["crypto"]["kdfparams"].update(n=17),
        lambda store: store["crypto"]["kdfparams"].update(dklen="x"),
        lambda store: store["crypto"].update(kdf="pbkdf2", kdfparams={"c": 10**9}),
        lambda store: store["crypto"].update(
            kdf="pbkdf2", kdfparams={"c": 1, "dklen": 32, "prf": "sha256", "salt": "00"}
        ),
        lambda store: store.update(address="00" * 20),
    ],
)
def test_a_broken_keystore_is_told(keystore: Path, change: Any) -> None:
    store = json.loads(keystore.read_text())
    change(store)
    keystore.write_text(json.dumps(store))

    with pytest.raises(KeystoreMalformed, match="keystore"):
        read_keystore(keystore, PASSWORD)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 50_000, b" " * 70_000])
def test_a_file_that_is_no_keystore_is_told(keystore: Path, raw: bytes) -> None:
    keystore.write_bytes(raw)

    with pytest.raises(KeystoreMalformed, match="not a keystore of version 3"):
        read_keystore(keystore, PASSWORD)


def test_a_keystore_whose_key_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "_eth_keyfile", lambda: _Decodes())
    path = tmp_path / "k.json"
    path.write_text(json.dumps({"version": 3, "crypto": {"kdf": "pbkdf2", "kdfparams": {"c": 1}}}))

    with pytest.raises(KeystoreMalformed):
        read_keystore(path, PASSWORD)


class _Decodes:
    def decode_keyfile_json(self, _store: object, _password: bytes) -> bytes:
        return bytes(32)


def test_a_new_secret_is_a_key_also_if_the_first_draw_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([bytes(32), SECP256K1_N.to_bytes(32, "big"), SECRET])
    monkeypatch.setattr("secrets.token_bytes", lambda _size: next(draws))

    assert new_secret() == SECRET
    assert SigningKey(SECRET).address == "0x" + SigningKey(SECRET).address[2:]


def test_a_password_does_not_show_itself() -> None:
    assert "horse" not in repr(PASSWORD) + str(PASSWORD) + f"{PASSWORD}"
    with pytest.raises(TypeError):
        pickle.dumps(PASSWORD)


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 5000])
def test_a_password_is_one_line(text: str) -> None:
    with pytest.raises(PasswordUnusable, match="one line"):
        Password(text)


def test_a_password_file_is_read_to_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes("päss\r\nsecond".encode())
    path.chmod(0o600)

    assert read_password(path).reveal() == "päss"


def test_a_password_that_comes_through_a_pipe_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"piped\n")
    os.close(writing)

    assert read_password(Path(f"/dev/fd/{reading}")).reveal() == "piped"
    os.close(reading)


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret")
    path.chmod(0o644)

    with pytest.raises(PasswordUnusable, match="others can read it; run chmod 600"):
        read_password(path)


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_a_password_file_without_a_password_is_told(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(raw)
    path.chmod(0o600)

    with pytest.raises(PasswordUnusable, match="its first line is not"):
        read_password(path)
    with pytest.raises(PasswordUnusable, match="No such file"):
        read_password(tmp_path / "none")
