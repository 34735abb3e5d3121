"""The remote signer against a mock of Web3Signer that this file plays: no Web3Signer runs here."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from coincurve import PrivateKey

from node.remote_signer import MAX_ANSWER_BYTES, RemoteKey, RemoteSignerFailed
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SECP256K1_N, Signature, SigningKey, recover_address
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import address_from_hex

SECRET, OTHER = (keccak256(name) for name in (b"a staking account", b"another"))
KEY = SigningKey(SECRET)
ACCOUNT = address_from_hex(KEY.address)
FIELDS = DynamicFeeFields(
    chain_id=1, nonce=7, max_priority_fee_per_gas=1, max_fee_per_gas=9, gas_limit=21_000, to=KEY.address
)
Answer = tuple[int, str]


def public_key(secret: bytes) -> str:
    return "0x" + PrivateKey(secret).public_key.format(compressed=False)[1:].hex()


class MockWeb3Signer:
    """Holds keys, signs keccak(data) as the documentation says, and can be told to answer otherwise."""

    def __init__(self, *secrets: bytes) -> None:
        self.keys = {public_key(secret): SigningKey(secret) for secret in secrets}
        self.asked: list[tuple[str, str, bytes]] = []
        self.listed: Callable[[], Answer] = lambda: (200, json.dumps(list(self.keys)))
        self.signed: Callable[[str, bytes], Answer] = self.sign

    def sign(self, identifier: str, data: bytes) -> Answer:
        if identifier not in self.keys:
            return 404, "Public Key not found"
        return 200, "0x" + self.keys[identifier].sign_digest(keccak256(data)).to_bytes().hex()

    @contextmanager
    def running(self) -> Iterator[str]:
        mock = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: V105  http.server calls it
                mock.asked.append(("GET", self.path, b""))
                self._answer(*mock.listed())

            def do_POST(self) -> None:  # noqa: V105  http.server calls it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mock.asked.append(("POST", self.path, body))
                data = bytes.fromhex(json.loads(body)["data"][2:])
                self._answer(*mock.signed(self.path.rsplit("/", 1)[1], data))

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:  # noqa: V105  http.server calls it
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def test_a_transaction_that_is_signed_there_is_what_the_key_would_have_signed_here() -> None:
    mock = MockWeb3Signer(OTHER, SECRET)
    with mock.running() as url:
        key = RemoteKey(url + "/", ACCOUNT)
        assert sign_dynamic_fee(FIELDS, key) == sign_dynamic_fee(FIELDS, KEY)
    listed, (method, path, body) = mock.asked
    assert listed == ("GET", "/api/v1/eth1/publicKeys", b"")
    assert (method, path) == ("POST", "/api/v1/eth1/sign/" + public_key(SECRET))
    assert set(json.loads(body)) == {"data"}
    assert repr(key) == f"RemoteKey({KEY.address})"


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("v", [0, 27])
def test_both_ways_to_write_a_signature_are_understood(quoted: bool, v: int) -> None:
    mock = MockWeb3Signer(SECRET)

    def sign(identifier: str, data: bytes) -> Answer:
        raw = bytearray(KEY.sign_digest(keccak256(data)).to_bytes())
        raw[64] = raw[64] - 27 + v
        text = "0x" + raw.hex()
        return 200, json.dumps(text) if quoted else text + "\n"

    mock.signed = sign
    with mock.running() as url:
        signature = RemoteKey(url, ACCOUNT).sign_keccak(b"data")
    assert recover_address(keccak256(b"data"), signature) == KEY.address


def high_s(data: bytes) -> str:
    r, s, parity = KEY.sign_digest(keccak256(data))
    return "0x" + Signature(r, SECP256K1_N - s, 1 - parity).to_bytes().hex()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda data: (200, "0x" + SigningKey(OTHER).sign_digest(keccak256(data)).to_bytes().hex()), "signed as 0x"),
        (lambda data: (200, "0x" + KEY.sign_digest(keccak256(data + b"!")).to_bytes().hex()), "signed as 0x"),
        (lambda data: (200, high_s(data)), "upper half"),
        (lambda data: (200, "0x" + "00" * 65), "out of range"),
        (lambda data: (200, "0x" + "ff" * 65), "v is 27 or 28"),
        (lambda data: (200, "0x1234"), "not a signature of 65 bytes: 0x1234"),
        (lambda data: (200, ""), "not a signature"),
        (lambda data: (404, "gone"), "does not hold the key"),
        (lambda data: (400, "bad\nrequest"), "refused with 400: bad request"),
        (lambda data: (500, "x" * 400), "refused with 500"),
        (lambda data: (200, "x" * (MAX_ANSWER_BYTES + 1)), "more than"),
    ],
)  # fmt: skip
def test_what_is_no_signature_of_the_account_is_refused_and_told(answer: Callable[[bytes], Answer], said: str) -> None:
    mock = MockWeb3Signer(SECRET)
    mock.signed = lambda _, data: answer(data)
    with mock.running() as url:
        key = RemoteKey(url, ACCOUNT)
        with pytest.raises(RemoteSignerFailed, match=said) as failed:
            key.sign_keccak(b"data")
    assert url in str(failed.value)
    assert len(str(failed.value)) < 300


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ((200, json.dumps([public_key(OTHER), "0x12", 7, "0x" + "ff" * 64])), f"holds 4 keys, none .* {KEY.address}"),
        ((200, "{}"), "no list"),
        ((200, "no JSON"), "no list"),
        ((503, "busy"), "/api/v1/eth1/publicKeys refused with 503: busy"),
    ],
)  # fmt: skip
def test_a_signer_without_the_accounts_key_is_told_of(listed: Answer, said: str) -> None:
    mock = MockWeb3Signer()
    mock.listed = lambda: listed
    with mock.running() as url, pytest.raises(RemoteSignerFailed, match=said):
        RemoteKey(url, ACCOUNT)


def test_one_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RemoteSignerFailed, match=r"no answer within 0\.2 s"):
            RemoteKey(url, ACCOUNT, seconds=0.2)
    with pytest.raises(RemoteSignerFailed, match="cannot be reached"):
        RemoteKey(url, ACCOUNT)


def test_one_that_answers_drop_by_drop_is_given_up() -> None:
    dripping = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not dripping.wait(0.05):
                try:
                    connection.sendall(b"[")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        with pytest.raises(RemoteSignerFailed, match=r"no answer within 0\.5 s"):
            RemoteKey(f"http://127.0.0.1:{server.getsockname()[1]}", ACCOUNT, seconds=0.5)
        dripping.set()
        thread.join()


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://[", "http://x:99999999", "http://x/?key=1", "127.0.0.1:9000"]
)
def test_a_url_that_is_none_is_told_with_the_right_form(url: str) -> None:
    with pytest.raises(RemoteSignerFailed, match=r"such as http://127\.0\.0\.1:9000"):
        RemoteKey(url, ACCOUNT)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RemoteSignerFailed, match="no user and password") as failed:
        RemoteKey("http://me:swordfish@127.0.0.1:1", ACCOUNT)
    assert "swordfish" not in str(failed.value)
