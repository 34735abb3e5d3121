"""What tests of bundles need: transactions, bundles, and contracts of a few opcodes, assembled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.relay.bundles import bundle_hash
from devnet.relay.context import BlockContext, Bundle
from devnet.rpc import RpcClient
from protocol.ethereum.transactions import SignedTransaction, TransactionFields, sign_transaction

GWEI = 10**9
ETHER = 10**18
WEI_OF_COINBASE = 7
COINBASE = "0x" + "cb" * 20

TIP_JAR = "0x" + "71" * 20
"""Passes the call's value on to the coinbase.

5f5f5f5f34415af1  CALL(gas, coinbase, callvalue, no data)
00                STOP
"""
TURNSTILE = "0x" + "72" * 20
"""Lets one call through for each slot (the first word of call data) and passes its value on to the coinbase.

5f35 80 54 6014 57   slot = calldata[0]; if storage[slot]: goto 0x14
6001 90 55           storage[slot] = 1
5f5f5f5f34415af1 00  CALL(gas, coinbase, callvalue, no data); STOP
5b 5f5ffd            0x14: REVERT()
"""
FADING = "0x" + "73" * 20
"""As the turnstile, but a second call for a slot goes through and pays nothing: 0x14 is `5b 00`, STOP."""
GRUMBLER = "0x" + "74" * 20
"""Reverts with Error("no deal"): copies 100 bytes behind its 10 bytes of code to memory and reverts with them."""
BURNER = "0x" + "75" * 20
"""Burns all gas it is given: `5b 5f 56` jumps back to its beginning for ever."""
ECHO = "0x" + "76" * 20
"""Returns NUMBER, TIMESTAMP, BASEFEE, COINBASE and GASLIMIT, a word each."""

_NO_DEAL = "08c379a0" + f"{32:064x}" + f"{7:064x}" + b"no deal".hex().ljust(64, "0")
CODE = {
    TIP_JAR: "0x5f5f5f5f34415af100",
    TURNSTILE: "0x5f35805460145760019055" + "5f5f5f5f34415af100" + "5b5f5ffd",
    FADING: "0x5f35805460145760019055" + "5f5f5f5f34415af100" + "5b00",
    GRUMBLER: "0x6064600a5f3960645ffd" + _NO_DEAL,
    BURNER: "0x5b5f56",
    ECHO: "0x435f52426020524860405241606052456080526" + "0a05ff3",
}

_arrivals = count(1)


def transaction(
    name: str,
    nonce: int = 0,
    *,
    to: str | None = TIP_JAR,
    tip: int = GWEI,
    fee_cap: int = 100 * GWEI,
    value: int = 0,
    gas_limit: int = 100_000,
    data: bytes = b"",
    chain_id: int = CHAIN_ID,
) -> SignedTransaction:
    """Return a signed transaction of the named account."""
    fields = TransactionFields(
        type=2,
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=fee_cap,
        max_priority_fee_per_gas=tip,
        to=to,
        value=value,
        data=data,
    )
    return sign_transaction(fields, account(name).key)


def slot(number: int) -> bytes:
    """Return call data that names a slot of the turnstile."""
    return number.to_bytes(32, "big")


def bundle(
    *transactions: SignedTransaction,
    block_number: int = 1,
    min_timestamp: int = 0,
    max_timestamp: int = 0,
    reverting: Sequence[SignedTransaction] = (),
    uuid: str = "",
    signer: str = "alice",
    received_at: float = 0.0,
) -> Bundle:
    """Return a bundle as a builder holds it; each arrives after the one before."""
    return Bundle(
        transactions=transactions,
        block_number=block_number,
        min_timestamp=min_timestamp,
        max_timestamp=max_timestamp,
        reverting_hashes=frozenset(one.hash for one in reverting),
        replacement_uuid=uuid,
        signer=account(signer).address,
        hash=bundle_hash(transactions),
        arrival=next(_arrivals),
        received_at=received_at,
    )


def hex_of(data: bytes) -> str:
    """Return hex with 0x."""
    return "0x" + data.hex()


async def prepare_chain(rpc: RpcClient, *names: str, ether: int = 100) -> None:
    """Install the contracts, give the named accounts ETH and the coinbase some wei, and mine a block on that.

    The first payment to an empty account costs 25,000 gas more, which is not what the tests are about.
    """
    await rpc.batch([("anvil_setCode", (address, code)) for address, code in CODE.items()])
    await rpc.batch([("anvil_setBalance", (account(name).address, hex(ether * ETHER))) for name in names])
    await rpc.call("anvil_setBalance", COINBASE, hex(WEI_OF_COINBASE))
    await rpc.call("evm_mine")


async def next_block(rpc: RpcClient) -> BlockContext:
    """Return the context of the block after Anvil's latest, two seconds later, paying to `COINBASE`."""
    head = await rpc.call("eth_getBlockByNumber", "latest", False)
    return BlockContext(
        number=int(head["number"], 16) + 1,
        parent_hash=head["hash"],
        timestamp=int(head["timestamp"], 16) + 2,
        base_fee=int(head["baseFeePerGas"], 16) * 7 // 8,
        coinbase=COINBASE,
        gas_limit=int(head["gasLimit"], 16),
    )
