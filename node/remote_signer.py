"""The key of the account that acts, kept elsewhere: Web3Signer signs over HTTP. Made from its documentation.

    GET  /api/v1/eth1/publicKeys          the public keys that it holds, as 64 bytes in hex
    POST /api/v1/eth1/sign/PUBLIC_KEY     {"data": "0x…"} → 0x… r ‖ s ‖ v over keccak(data), as text

No Web3Signer has been run against this: tests play its part. Nothing that it answers is believed: the signature must
recover to the account that was asked for. Only what is to be signed goes out; no secret is known here.

RemoteSignerFailed (NodeError)    it cannot be reached, refuses, holds no such key, or answered with something else
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from typing import Final
from urllib.parse import SplitResult, urlsplit

from coincurve import PublicKey

from node.errors import NodeError
from protocol.errors import ProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, address_of, recover_address
from protocol.units import Address, address_to_hex

SECONDS: Final = 10.0
"""For one answer, whole."""
MAX_ANSWER_BYTES: Final = 1_048_576
_PIECE: Final = 65_536
_SIGNATURE: Final = re.compile(r'"?0x([0-9a-fA-F]{130})"?\s*\Z')
_PUBLIC_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{128})\Z")
_UNCOMPRESSED: Final = b"\x04"
_SHOWN: Final = 120


class RemoteSignerFailed(NodeError):
    """It cannot be reached, refuses, holds no such key, or answered with something else than a signature."""


class RemoteKey:
    """The key of one account at a Web3Signer. Waits for it: not for a process that has other things to do."""

    def __init__(self, url: str, account: Address, seconds: float = SECONDS) -> None:
        """Find the account's public key there. Raises `RemoteSignerFailed`."""
        self.address: str = address_to_hex(account)
        self._url, self._seconds = _checked(url), seconds
        self._where = f"remote signer {self._url.scheme}://{self._url.netloc}"
        self._public_key = self._find()

    def sign_keccak(self, data: bytes) -> Signature:
        """Return the account's signature over keccak(data). Raises `RemoteSignerFailed`."""
        body = json.dumps({"data": "0x" + data.hex()}).encode()
        text = self._ask("POST", f"/api/v1/eth1/sign/0x{self._public_key}", body).decode(errors="replace")
        found = _SIGNATURE.match(text)
        if found is None:
            raise RemoteSignerFailed(f"{self._where}: not a signature of 65 bytes: {_shown(text)}")
        raw = bytearray(bytes.fromhex(found[1]))
        raw[64] += 27 if raw[64] < 2 else 0
        try:
            signature = Signature.from_bytes(bytes(raw))
            signer = recover_address(keccak256(data), signature)
        except ProtocolError as error:
            raise RemoteSignerFailed(f"{self._where}: {error}") from None
        if signer != self.address:
            raise RemoteSignerFailed(f"{self._where}: signed as {signer}, not as {self.address}: nothing was sent")
        return signature

    def __repr__(self) -> str:
        return f"RemoteKey({self.address})"

    def _find(self) -> str:
        try:
            told = json.loads(self._ask("GET", "/api/v1/eth1/publicKeys", None))
        except ValueError:
            told = None
        if not isinstance(told, list):
            raise RemoteSignerFailed(f"{self._where}: /api/v1/eth1/publicKeys is no list of keys")
        for text in told:
            found = _PUBLIC_KEY.match(text) if isinstance(text, str) else None
            if found is not None and _address_of(found[1]) == self.address:
                return found[1]
        raise RemoteSignerFailed(f"{self._where}: holds {len(told)} keys, none of them of {self.address}")

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        give_up = time.monotonic() + self._seconds
        connection = _connection(self._url, self._seconds)
        try:
            headers = {"Accept": "*/*"} | ({} if body is None else {"Content-Type": "application/json"})
            connection.request(method, self._url.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            answer = _whole(response, connection.sock, give_up)
        except TimeoutError:
            raise RemoteSignerFailed(f"{self._where}: no answer within {self._seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise RemoteSignerFailed(f"{self._where}: cannot be reached: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if response.status == http.client.NOT_FOUND and method == "POST":
            raise RemoteSignerFailed(f"{self._where}: it does not hold the key of {self.address} any more (404)")
        if response.status != http.client.OK:
            words = _shown(answer.decode(errors="replace"))
            raise RemoteSignerFailed(
                f"{self._where}: {path.partition('/sign/')[0]} refused with {response.status}: {words}"
            )
        return answer


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise RemoteSignerFailed("--remote-signer is a URL such as http://127.0.0.1:9000")
    if parts.username is not None or parts.password is not None:
        raise RemoteSignerFailed("--remote-signer: no user and password in the URL: it would stand in the process list")
    return parts


def _connection(url: SplitResult, seconds: float) -> http.client.HTTPConnection:
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=seconds, context=context)
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=seconds)


def _whole(response: http.client.HTTPResponse, sock: socket.socket | None, give_up: float) -> bytes:
    """Read an answer to its end, with one deadline for all of it. Raises TimeoutError, `RemoteSignerFailed`."""
    answer = bytearray()
    while True:
        left = give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if sock is not None:
            sock.settimeout(left)
        piece = response.read1(_PIECE)
        if not piece:
            return bytes(answer)
        answer += piece
        if len(answer) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"more than {MAX_ANSWER_BYTES} bytes")


def _address_of(public_key: str) -> str:
    try:
        return address_of(PublicKey(_UNCOMPRESSED + bytes.fromhex(public_key)))
    except ValueError:  # no point of the curve
        return ""


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + " …"
