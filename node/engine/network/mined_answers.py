"""What Chainlink's feeds answered in a block, out of its receipts, and what they had answered before it.

The feed is the contract that logs `AnswerUpdated`: the aggregator, not the proxy in front of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from node.engine.endpoints import Endpoints
from node.engine.multicall import signed_at
from node.engine.network.log_words import signed, words_of
from node.engine.receipts import Receipt
from node.engine.rpc import Call, RpcError, RpcRefused
from node.engine.rpc_types import Data
from node.pipeline.detectors.oracle_jump import last_answers
from protocol.ethereum.keccak import keccak256
from protocol.units import HASH_BYTES, Address, Hash32, address_to_hex

_UPDATED: Final = keccak256(b"AnswerUpdated(int256,uint256,uint256)")
_LATEST: Final = keccak256(b"latestRoundData()")[:4]
_TOPICS: Final = 3
_ROUND_WORDS: Final = 5
GAS: Final = 1_000_000
"""Of the question for an answer; a contract that needs more of it has none."""


def mined_answers(receipts: Iterable[Receipt]) -> dict[Address, int]:
    """Return the last answer in the block of each feed, the first MAX_FEEDS of them."""
    logs = (log for receipt in receipts for log in receipt.logs)
    return last_answers(
        (Address(bytes(log.address)), signed(int.from_bytes(log.topics[1], "big")))
        for log in logs
        if len(log.topics) == _TOPICS and bytes(log.topics[0]) == _UPDATED and words_of(log, 1) is not None
    )


async def answers_at(
    endpoints: Endpoints, feeds: Mapping[Address, int], block: Hash32, seconds: float
) -> dict[Address, int]:
    """Return what each feed answered after a block, without those that answer nothing. Raises RpcError.

    Asked from the zero address and not through another contract: some aggregators answer none. Whether the chain's node
    still has the state is asked beside it: to have lost it is no answer.
    """
    at = {"blockHash": "0x" + block.hex()}
    calls = []
    for feed in feeds:
        request = {"to": address_to_hex(feed), "data": "0x" + _LATEST.hex(), "gas": hex(GAS)}
        calls += [Call("eth_getCode", (request["to"], at), Data), Call("eth_call", (request, at), Data)]
    said = await endpoints.batch(calls, seconds=seconds) if calls else []
    answers = {}
    for place, feed in enumerate(feeds):
        code, answer = said[2 * place : 2 * place + 2]
        for one in (code, answer):
            if isinstance(one, RpcError) and (one is code or not isinstance(one, RpcRefused)):
                raise one
        if not isinstance(answer, RpcError) and len(answer) == _ROUND_WORDS * HASH_BYTES:
            answers[feed] = signed_at(answer, HASH_BYTES)
    return answers
