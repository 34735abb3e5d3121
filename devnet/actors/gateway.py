"""Where the actors' transactions go: the public RPC, and the builders' relay endpoints with Flashbots' signature.

In lockstep each request carries its participant and a rising sequence, by which the relay orders them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from devnet.accounts import Account
from devnet.errors import ChainFailed, RpcError
from protocol.ethereum.keccak import keccak256

_PERSONAL: Final = b"\x19Ethereum Signed Message:\n66"


def flashbots_signature(body: bytes, signer: Account) -> str:
    """Return the value of `X-Flashbots-Signature`: EIP-191 over the hex text of the body's Keccak digest."""
    digest = keccak256(_PERSONAL + b"0x" + keccak256(body).hex().encode())
    return f"{signer.address}:0x{signer.key.sign_digest(digest).to_bytes().hex()}"


class Gateway:
    """Sends transactions and bundles. Use as an async context manager."""

    def __init__(
        self, url: str, builders: Mapping[str, str], *, lockstep: bool, deadline_seconds: float = 10.0
    ) -> None:
        self._url, self._builders, self._lockstep = url, dict(builders), lockstep
        self._deadline = aiohttp.ClientTimeout(total=deadline_seconds)
        self._sequences: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._http: aiohttp.ClientSession | None = None
        self.counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=self._deadline)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def send(self, raw: bytes, participant: str) -> None:
        """Send a signed transaction to the public mempool. Raises `RpcError` on a refusal, `ChainFailed` otherwise."""
        await self._post(self._url, "eth_sendRawTransaction", ["0x" + raw.hex()], participant, None)
        self.counts["transactions_sent"] += 1

    async def send_bundle(self, raws: Sequence[bytes], block: int, participant: str, signer: Account) -> dict[str, str]:
        """Send a bundle for one block to every builder; return the refusals, builder to reason."""
        bundle = {"txs": ["0x" + raw.hex() for raw in raws], "blockNumber": hex(block)}
        answers: list[str] = []
        if self._lockstep:  # one after the other, so that the sequence is the order
            for url in self._builders.values():
                answers.append(await self._offer(url, bundle, participant, signer))  # noqa: PERF401
        else:
            offers = (self._offer(url, bundle, participant, signer) for url in self._builders.values())
            answers = await asyncio.gather(*offers)
        refusals = {name: reason for name, reason in zip(self._builders, answers, strict=True) if reason}
        self.counts["bundles_offered"] += len(self._builders) - len(refusals)
        self.counts["bundles_refused"] += len(refusals)
        return refusals

    async def _offer(self, url: str, bundle: Mapping[str, Any], participant: str, signer: Account) -> str:
        try:
            await self._post(url, "eth_sendBundle", [bundle], participant, signer)
        except RpcError as error:
            return error.message
        except ChainFailed as error:
            return str(error)
        return ""

    async def _post(self, url: str, method: str, params: list[Any], participant: str, signer: Account | None) -> Any:
        if self._http is None:
            raise RuntimeError("the gateway is used outside its context")
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"Content-Type": "application/json"}
        if self._lockstep:
            headers["X-Devnet-Participant"] = participant
            headers["X-Devnet-Sequence"] = str(next(self._sequences[participant]))
        if signer is not None:
            headers["X-Flashbots-Signature"] = flashbots_signature(body, signer)
        try:
            async with self._http.post(url, data=body, headers=headers) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ChainFailed(f"{url} did not answer: {error or type(error).__name__}") from error
        except orjson.JSONDecodeError as error:
            raise ChainFailed(f"{url} answered with something that is not JSON") from error
        if not isinstance(answer, dict):
            raise ChainFailed(f"{url} answered with something that is not a JSON-RPC object")
        if isinstance(fault := answer.get("error"), dict):
            raise RpcError(method, int(fault.get("code", 0)), str(fault.get("message", "")), fault.get("data"))
        if answer.get("error") is not None:  # relays answer some refusals with a bare text
            raise RpcError(method, 0, str(answer["error"]))
        return answer.get("result")
