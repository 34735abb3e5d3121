"""The public JSON-RPC: what Anvil answers for us, what we answer ourselves, and what nobody may ask.

No read sees a block before it is published (`HeadGate`), nor a private transaction before it is mined. The block
`pending` means `latest` here: what will be in the next block is the builder's secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import orjson

from devnet.clock import DevnetClock
from devnet.relay import parameters
from devnet.relay.chain import Chain
from devnet.relay.context import PooledTransaction
from devnet.relay.faults import PUBLIC, Fault, FaultKind, Faults
from devnet.relay.gate import HeadGate
from devnet.relay.intake import Intake
from devnet.relay.jsonrpc import Call, InvalidParams, JsonRpcError, MethodNotFound
from devnet.relay.mempool import Mempool
from devnet.rpc import RpcClient
from protocol.ethereum.transaction_json import to_rpc

_NO_BLOCK: Final = -1
READS: Final[dict[str, int]] = {
    "debug_traceBlockByHash": _NO_BLOCK,
    "debug_traceBlockByNumber": 0,
    "debug_traceCall": 1,
    "debug_traceTransaction": _NO_BLOCK,
    "eth_accounts": _NO_BLOCK,
    "eth_blobBaseFee": _NO_BLOCK,
    "eth_call": 1,
    "eth_createAccessList": 1,
    "eth_estimateGas": 1,
    "eth_feeHistory": 1,
    "eth_gasPrice": _NO_BLOCK,
    "eth_getBalance": 1,
    "eth_getBlockByHash": _NO_BLOCK,
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByHash": _NO_BLOCK,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getCode": 1,
    "eth_getLogs": _NO_BLOCK,
    "eth_getProof": 2,
    "eth_getStorageAt": 2,
    "eth_getTransactionByBlockHashAndIndex": _NO_BLOCK,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_getTransactionCount": 1,
    "eth_getTransactionReceipt": _NO_BLOCK,
    "eth_maxPriorityFeePerGas": _NO_BLOCK,
    "eth_simulateV1": 1,
    "eth_syncing": _NO_BLOCK,
    "net_listening": _NO_BLOCK,
    "net_version": _NO_BLOCK,
    "web3_clientVersion": _NO_BLOCK,
    "web3_sha3": _NO_BLOCK,
}
"""Methods that are passed on to Anvil, and where their block parameter stands."""

SHARED: Final = frozenset(("debug_traceBlockByHash",))
"""What costs Anvil much, never changes, and is asked for by every node at each block: it is asked once for all."""
MAX_SHARED: Final = 4
_CHEATS: Final = ("anvil_", "evm_", "hardhat_", "miner_", "personal_", "ots_", "erigon_", "trace_")
_KEYLESS: Final = frozenset(
    ("eth_sendTransaction", "eth_sign", "eth_signTransaction", "eth_signTypedData_v4", "personal_sign")
)
_LYING_BLOCKS: Final = 3
_PRUNED: Final = 4444
"""Code of "pruned history unavailable" (EIP-4444 clients)."""

Method = Callable[[Call], Awaitable[Any]]


class PublicRpc:
    """Answers calls on the public endpoint, over HTTP and WebSocket alike."""

    def __init__(
        self,
        *,
        rpc: RpcClient,
        chain: Chain,
        mempool: Mempool,
        intake: Intake,
        gate: HeadGate,
        faults: Faults,
        clock: DevnetClock,
        blocks_kept: int,
    ) -> None:
        self._blocks_kept = blocks_kept
        self._rpc = rpc
        self._chain = chain
        self._mempool = mempool
        self._intake = intake
        self._gate = gate
        self._faults = faults
        self._clock = clock
        self._shared: dict[bytes, asyncio.Task[bytes]] = {}
        """The last answers that were asked for once, also those still under way."""
        self._own: dict[str, Method] = {
            "eth_blockNumber": self._block_number,
            "eth_chainId": self._chain_id,
            "eth_getBalance": self._balance,
            "eth_getLogs": self._logs,
            "eth_getTransactionByHash": self._transaction_by_hash,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getTransactionReceipt": self._receipt,
            "eth_sendRawTransaction": self._send_raw_transaction,
            "txpool_content": self._txpool_content,
            "txpool_status": self._txpool_status,
        }

    async def handle(self, call: Call) -> Any:
        """Answer one call. Raises `JsonRpcError`, `RpcError`, `Refused`, `ChainFailed`."""
        own = self._own.get(call.method)
        if own is not None:
            return await own(call)
        if call.method in READS:
            return await self._pass_on_unread(call)
        if call.method.startswith(_CHEATS):
            raise MethodNotFound(f"{call.method} is not for the public endpoint; the devnet's controls are on /admin")
        if call.method in _KEYLESS:
            raise MethodNotFound(f"{call.method}: no keys are held here; sign, and use eth_sendRawTransaction")
        raise MethodNotFound(f"the method {call.method} does not exist/is not available")

    async def _pass_on(self, call: Call) -> Any:
        if is_unknown_to(self._stale(), call):
            raise JsonRpcError("header not found")
        params = pinned(call, self._stale())
        return await self._gate.read(partial(self._rpc.call, call.method, *params))

    async def _pass_on_unread(self, call: Call) -> orjson.Fragment:
        if is_unknown_to(self._stale(), call):
            if call.method.startswith("eth_getBlock"):
                return orjson.Fragment(b"null")
            raise JsonRpcError("header not found")
        # Nobody here looks into the answer, and to parse megabytes of logs would hold up everybody else.
        params = pinned(call, self._stale())
        ask = partial(self._gate.read, partial(self._rpc.call_unread, call.method, *params))
        return orjson.Fragment(await (self._once(call, ask) if call.method in SHARED else ask()))

    async def _once(self, call: Call, ask: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what others were or are being told to the same question; a failure is nobody else's."""
        question = orjson.dumps([call.method, call.params])
        known = self._shared.get(question)
        if known is None:
            known = self._shared[question] = asyncio.ensure_future(ask())
            known.add_done_callback(partial(self._forget_failure, question))
            while len(self._shared) > MAX_SHARED:
                del self._shared[next(iter(self._shared))]
        return await asyncio.shield(known)

    def _forget_failure(self, question: bytes, answered: asyncio.Task[bytes]) -> None:
        if answered.cancelled() or answered.exception() is not None:
            self._shared.pop(question, None)

    async def _logs(self, call: Call) -> orjson.Fragment:
        oldest = self._chain.head.number - self._blocks_kept + 1
        bounds = call.params[0] if call.params and isinstance(call.params[0], dict) else {}
        for name in ("fromBlock", "toBlock"):
            if oldest > _number_of(bounds.get(name)):
                raise JsonRpcError(
                    f"pruned history unavailable: {name} is before block {oldest}, and the devnet keeps the logs of "
                    f"{self._blocks_kept} blocks",
                    _PRUNED,
                )
        return await self._pass_on_unread(call)

    def _stale(self) -> Fault | None:
        return self._faults.look(PUBLIC, FaultKind.STALE_HEAD, self._clock.now())

    def _lie(self, about: str) -> bool:
        fault = self._faults.look(PUBLIC, FaultKind.LIE, self._clock.now())
        if fault is None or fault.lie != about:
            return False
        self._faults.strike(PUBLIC, FaultKind.LIE, self._clock.now())
        return True

    async def _block_number(self, call: Call) -> str:
        parameters.exactly(call, 0, 0)
        stale = self._stale()
        number = self._chain.head.number if stale is None else stale.block
        return hex(number + _LYING_BLOCKS if self._lie("head") else number)

    async def _chain_id(self, call: Call) -> str:
        parameters.exactly(call, 0, 0)
        return hex(self._chain.chain_id)

    async def _balance(self, call: Call) -> Any:
        balance = await self._pass_on(call)
        return hex(2 * int(balance, 16) + 10**18) if self._lie("balance") else balance

    async def _send_raw_transaction(self, call: Call) -> str:
        parameters.exactly(call, 1, 1)
        raw = parameters.data(call.params[0], "the raw transaction")
        return "0x" + (await self._intake.submit(raw, public=True)).hex()

    async def _transaction_count(self, call: Call) -> Any:
        if len(call.params) == 2 and call.params[1] == "pending":
            sender = parameters.address(call.params[0])
            account = await self._chain.account(sender)
            return hex(self._mempool.pending_nonce(sender, account.nonce))
        return await self._pass_on(call)

    async def _transaction_by_hash(self, call: Call) -> Any:
        parameters.exactly(call, 1, 1)
        pooled = self._mempool.get(parameters.hash32(call.params[0]))
        if pooled is not None:
            return to_rpc(pooled.transaction) if pooled.public else None
        return self._unless_stale(await self._pass_on(call))

    async def _receipt(self, call: Call) -> Any:
        return self._unless_stale(await self._pass_on(call))

    def _unless_stale(self, mined: Any) -> Any:
        """Hide what is in a block that a stale endpoint does not know yet."""
        stale = self._stale()
        if stale is None or not isinstance(mined, dict):
            return mined
        return mined if int(mined["blockNumber"], 16) <= stale.block else None

    async def _txpool_status(self, call: Call) -> dict[str, str]:
        parameters.exactly(call, 0, 0)
        pending, queued = self._mempool.public_split()
        return {"pending": hex(len(pending)), "queued": hex(len(queued))}

    async def _txpool_content(self, call: Call) -> dict[str, dict[str, dict[str, Any]]]:
        parameters.exactly(call, 0, 0)
        pending, queued = self._mempool.public_split()
        return {"pending": _by_sender(pending), "queued": _by_sender(queued)}


def _by_sender(waiting: list[PooledTransaction]) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = {}
    for pooled in waiting:
        transaction = pooled.transaction
        content.setdefault(transaction.sender, {})[str(transaction.nonce)] = to_rpc(transaction)
    return content


def _number_of(bound: Any) -> float:
    """Return the block that a filter's bound names; infinity where it is not an early one, or is not understood."""
    if bound == "earliest":
        return 0
    try:
        return int(bound, 16) if isinstance(bound, str) else float("inf")
    except ValueError:
        return float("inf")


def is_unknown_to(stale: Fault | None, call: Call) -> bool:
    """Whether a call names a block by a number that a stale endpoint does not know yet."""
    if stale is None:
        return False
    if call.method == "eth_getLogs":
        bounds = call.params[0] if call.params and isinstance(call.params[0], dict) else {}
        named = [bounds.get(name) for name in ("fromBlock", "toBlock")]
    else:
        place = READS.get(call.method, _NO_BLOCK)
        named = call.params[place : place + 1] if place != _NO_BLOCK else []
    return any(stale.block < _number_of(bound) < float("inf") for bound in named)


def pinned(call: Call, stale: Fault | None) -> list[Any]:
    """Return a read's parameters with `pending`, or no block at all, as `latest`, and `latest` as a stale head."""
    latest = "latest" if stale is None else hex(stale.block)
    params = list(call.params)
    if call.method == "eth_getLogs":
        return [_pinned_filter(params, latest), *params[1:]]
    place = READS.get(call.method, _NO_BLOCK)
    if place == _NO_BLOCK:
        return params
    if place == len(params):
        params.append(latest)
    elif place < len(params) and params[place] in ("pending", "latest", None):
        params[place] = latest
    return params


def _pinned_filter(params: list[Any], latest: str) -> dict[str, Any]:
    if not params or not isinstance(params[0], dict):
        raise InvalidParams("eth_getLogs takes a filter object")
    log_filter = dict(params[0])
    if "blockHash" in log_filter:
        return log_filter
    for bound in ("fromBlock", "toBlock"):
        if log_filter.get(bound) in ("pending", "latest", None):
            log_filter[bound] = latest
    return log_filter
