"""A set-code transaction (EIP-7702) is simulated with its authorizations: accounts have code from then on."""

from __future__ import annotations

import orjson
import pytest

from devnet.accounts import account
from devnet.anvil import CHAIN_ID, Anvil
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import header_from_json
from node.engine.node_simulation import block_after, is_for_own_evm, run_by_node, signed_request
from protocol.ethereum.transaction_codec import sign_transaction
from protocol.ethereum.transaction_fields import (
    AccessListEntry,
    TransactionFields,
    TransactionType,
    sign_authorization,
)
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Wei
from tests.chain import Chain

pytestmark = pytest.mark.anvil

SENDER, WALLET, DEPLOYER = account("operator-0"), account("operator-1"), account("deployer")
LOGS = bytes.fromhex("60005460005260206000a0" + "00")
CREATES = bytes([0x60, len(LOGS), 0x80, 0x60, 0x0B, 0x60, 0x00, 0x39, 0x60, 0x00, 0xF3]) + LOGS


def transaction(kind: TransactionType, nonce: int, **more: object) -> SignedTransaction:
    fields = TransactionFields(
        type=kind,
        chain_id=CHAIN_ID,
        nonce=nonce,
        gas_limit=200_000,
        max_fee_per_gas=10**11,
        max_priority_fee_per_gas=10**9,
        to=WALLET.address.lower(),
        **more,  # type: ignore[arg-type]
    )
    return sign_transaction(fields, SENDER.key)


async def test_the_node_runs_it_with_the_code_that_it_sets(chain: Chain, world_anvil: Anvil) -> None:
    code = await chain.create(DEPLOYER, CREATES)
    endpoints = Endpoints.open([RpcConfig(http=world_anvil.url, websocket=world_anvil.url)], SystemClock())
    try:
        head = header_from_json(orjson.dumps(await endpoints.call("eth_getBlockByNumber", "latest", False)))
        nonces = [
            int(await endpoints.call("eth_getTransactionCount", who.address, "latest"), 16) for who in (SENDER, WALLET)
        ]
        allowed = sign_authorization(CHAIN_ID, code, nonces[1], WALLET.key)
        entries = (AccessListEntry(WALLET.address.lower(), (bytes(32),)),)
        plain = transaction(TransactionType.DYNAMIC_FEE, nonces[0])
        listed = transaction(TransactionType.DYNAMIC_FEE, nonces[0], access_list=entries)
        setting = transaction(TransactionType.SET_CODE, nonces[0], authorization_list=(allowed,))
        assert [is_for_own_evm([one]) for one in (plain, listed, setting)] == [True, False, False]
        logs, gas = [], []
        for one in (plain, listed, setting):
            base_fee = Wei(head.base_fee)
            run = await run_by_node(endpoints, [signed_request(one)], block_after(head, base_fee), head, 20.0)
            assert run is not None
            assert not run.failed
            logs.append(len(run.results[0].logs))
            gas.append(run.results[0].gas_used)
        assert logs == [0, 0, 1]
        assert gas[1] == gas[0] + 2_400 + 1_900, "an address and a slot of an access list are paid for"
    finally:
        await endpoints.close()
