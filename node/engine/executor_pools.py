"""Which of the pools that the configuration lists the operator's executors take: for Curve's that was said for ever
when an executor was created. What one of the vaults' executors does not take is seen, not traded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from governance.executor import CurveHop
from governance.executor_list import is_taken, question
from governance.vault_reading import executor_of
from node.config import ExecutionConfig
from node.engine.endpoints import Endpoints
from node.engine.rpc import Call, RpcError, RpcRefused
from node.engine.rpc_types import Data
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.errors import RemoteProtocolError
from protocol.ethereum.abi import encode_call
from protocol.units import ZERO_ADDRESS, Address, Hash32, TokenAmount, address_to_hex

_log = logging.getLogger(__name__)


class ExecutorPools:
    """Asks the executors of an operator's vaults; without a vault nobody is asked and everything is taken."""

    def __init__(self, endpoints: Endpoints, execution: ExecutionConfig) -> None:
        self._endpoints, self._module = endpoints, execution.vault_module
        self._safes = tuple(vault.safe for vault in execution.vaults)

    async def marked(self, specs: Sequence[PoolSpec], at: Hash32) -> list[PoolSpec]:
        """Return the pools, those that an executor does not take as such. Raises RpcError."""
        asked = [spec for spec in specs if spec.family is PoolFamily.CURVE_PLAIN]
        if not asked or not self._safes:
            return list(specs)
        executors = await self._executors(at)
        calls = [self._question(executor, spec, at) for spec in asked for executor in executors]
        answers, count = await self._endpoints.batch(calls), len(executors)
        taken = {
            spec.id: all(map(_is_taken, answers[count * place : count * (place + 1)]))
            for place, spec in enumerate(asked)
        }
        for spec in asked:
            if not taken[spec.id]:
                _log.warning("the executor was created without 0x%s: it is followed, not traded", spec.address.hex())
        return [spec if taken.get(spec.id, True) else msgspec.structs.replace(spec, is_unlisted=True) for spec in specs]

    async def _executors(self, at: Hash32) -> list[Address]:
        module, block = address_to_hex(self._module), {"blockHash": "0x" + at.hex()}
        calls = [
            Call("eth_call", (_request(module, encode_call("vaultOf(address)", address_to_hex(safe))), block), Data)
            for safe in self._safes
        ]
        executors: dict[Address, None] = {}
        for answer in await self._endpoints.batch(calls):
            if isinstance(answer, RpcError):
                raise answer
            try:
                executors[executor_of(answer)] = None
            except RemoteProtocolError as error:  # whoever answers is no vault module, and so has no executor
                _log.error("0x%s tells no executor of a vault: %s", self._module.hex(), error)
                executors[ZERO_ADDRESS] = None
        return list(executors)

    def _question(self, executor: Address, spec: PoolSpec, at: Hash32) -> Call:
        sold, bought = spec.tokens[:2]
        hop = CurveHop(
            token_out=bought, pool=spec.address, coin_in=0, coin_out=1, is_crypto=False, minimum_out=TokenAmount(0)
        )
        request = _request(address_to_hex(executor), question(sold, hop))
        request["from"] = address_to_hex(self._module)
        return Call("eth_call", (request, {"blockHash": "0x" + at.hex()}), Data)


def _request(to: str, data: bytes) -> dict[str, str]:
    return {"to": to, "data": "0x" + data.hex()}


def _is_taken(answer: Data | RpcRefused) -> bool:
    """An answer without a revert is that of an account without code."""
    if not isinstance(answer, RpcRefused):
        return False
    data = answer.data
    return is_taken(bytes.fromhex(data[2:]) if isinstance(data, str) and data[:2] == "0x" else b"")
