"""A contract of forty opcodes that behaves to a simulator as the vault module does, and bundles that call it."""

from __future__ import annotations

from node.engine.signer import SignedBundle, Signer, SigningLimits
from node.pipeline.events import SignAndSubmit, SimulateBundle
from node.pipeline.plans import Bid, BundlePlan, Execution, FlashLender, FlashLoan, LenderKind, Opportunity, SwapStep
from node.pipeline.pools import PoolFamily
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, SignedTransaction, decode_transaction, sign_dynamic_fee
from protocol.kinds import OpportunityKind
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, UnixNanoseconds, Wei, address_to_hex

CHAIN_ID = 31337
BASE_FEE = 10**9
MODULE = Address(b"\x77" * 20)
SAFE = Address(b"\x5a" * 20)
TOKEN = Address(b"\x70" * 20)
SENDER = Address(b"\xa1" * 20)
EXECUTED = keccak256(b"Executed(address,address,uint256,uint256)")
ETHER = 10**18
GAS_LIMIT = 200_000


POOL = Address(b"\x90" * 20)
STEP = SwapStep(POOL, PoolFamily.UNISWAP_V2, POOL, TOKEN, TOKEN, 0, 1, 3000, ETHER, ETHER, 1)
SECRET = keccak256(b"alice's hot key")
MOST_GAS = Wei(ETHER)


def topic(address: Address) -> bytes:
    return address.rjust(32, b"\0")


def module_code() -> bytes:
    """With a word of call data: keep it in slot 0. Without: revert if slot 0 is zero, else tell it as the profit."""
    write = bytes.fromhex("5f355f5500")
    log = bytes.fromhex("5f5480602052")  # SLOAD(0), twice; MSTORE(32)
    check = bytes.fromhex("15")  # ISZERO of the other copy
    told = b"".join(b"\x7f" + word for word in (topic(TOKEN), topic(SAFE), EXECUTED)) + bytes.fromhex("60405fa300")
    # JUMPDEST SLOAD DUP MSTORE ISZERO PUSH1 revert JUMPI LOG3 STOP JUMPDEST REVERT
    begin = bytes.fromhex("366020146000") + b"\x57"  # if CALLDATASIZE == 32 jump to the writing part
    body = log + check
    revert_at = len(begin) + len(body) + 3 + len(told)
    body += bytes([0x60, revert_at, 0x57]) + told + bytes.fromhex("5b5f5ffd")
    write_at = len(begin) + len(body)
    begin = bytes.fromhex("36602014") + bytes([0x60, write_at, 0x57])
    return begin + body + b"\x5b" + write


def trader(name: str = "carol") -> SigningKey:
    return SigningKey(keccak256(name.encode()))


def victim(profit: int, nonce: int = 0) -> SignedTransaction:
    """A transaction after which our execution brings so much."""
    fields = DynamicFeeFields(
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_priority_fee_per_gas=BASE_FEE,
        max_fee_per_gas=3 * BASE_FEE,
        gas_limit=GAS_LIMIT,
        to=address_to_hex(MODULE),
        data=profit.to_bytes(32, "big"),
    )
    return decode_transaction(sign_dynamic_fee(fields, trader()))


def opportunity(target: int, name: bytes = b"find", victims: tuple[SignedTransaction, ...] = ()) -> Opportunity:
    lender = FlashLender(LenderKind.VAULT, MODULE, TOKEN, 0)
    return Opportunity(
        id=Hash32(keccak256(name)),
        kind=OpportunityKind.BACKRUN if victims else OpportunityKind.CYCLIC_ARBITRAGE,
        target_block=BlockNumber(target),
        steps=(STEP,),
        loan=FlashLoan(lender, ETHER, 0),
        profit_token=TOKEN,
        gross_profit=5_000,
        gross_profit_wei=Wei(5_000),
        gas=Gas(100_000),
        victims=victims,
        seen_at=UnixNanoseconds(1),
    )


def plan_for(
    target: int,
    *victims: SignedTransaction,
    call_data: bytes = b"run!",
    gas_limit: int = GAS_LIMIT,
    name: bytes = b"find",
    sender: Address = SENDER,
    nonce: int = 0,
) -> BundlePlan:
    """One execution behind victims."""
    execution = Execution(
        opportunity=opportunity(target, name, victims),
        bid=Bid(Wei(BASE_FEE), Wei(0), 0),
        minimum_profit=1,
        net_profit_wei=Wei(1),
        gas_limit=Gas(gas_limit),
        max_fee_per_gas=Wei(2 * BASE_FEE),
        sender=sender,
        nonce=nonce,
        call_data=call_data,
    )
    return BundlePlan(
        id=Hash32(keccak256(call_data + name)),
        target_block=BlockNumber(target),
        victims=victims,
        executions=(execution,),
        entry_point=MODULE,
        chain_id=CHAIN_ID,
        replaces=Hash32(keccak256(name)),
    )


def signer(secret: bytes = SECRET) -> Signer:
    return Signer(secret, SigningLimits(ChainId(CHAIN_ID), MODULE, MOST_GAS))


def signed(
    target: int, *victims: SignedTransaction, name: bytes = b"find", call_data: bytes = b"run!", nonce: int = 0
) -> SignedBundle:
    """A bundle of Alice's."""
    alice = signer()
    plan = plan_for(target, *victims, name=name, call_data=call_data, sender=alice.address, nonce=nonce)
    return alice.sign(SignAndSubmit(plan))


def asked(target: int, *victims: SignedTransaction) -> SimulateBundle:
    return SimulateBundle(plan_for(target, *victims))
