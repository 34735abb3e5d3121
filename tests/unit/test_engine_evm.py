"""An EVM of our own: what it says is right, or it says what it was not told."""

from __future__ import annotations

import msgspec

from node.engine.evm import Evm, EvmAccount, EvmBlock, EvmCall
from node.engine.evm_state import BlockTrace, Prestate, TracedAccount, apply_block, apply_prestate, unknown_accounts
from node.engine.rpc_types import decoder
from node.engine.vault_logs import profit_told
from protocol.units import Address, address_to_hex
from tests.vault_stand_in import BASE_FEE, ETHER, GAS_LIMIT, MODULE, SENDER, TOKEN, module_code

MODULE_HEX, SENDER_HEX = address_to_hex(MODULE), address_to_hex(SENDER)
COINBASE = "0x" + "0b" * 20
BLOCK = EvmBlock(10, 1_800_000_000, BASE_FEE, 30_000_000, COINBASE)
RUN = EvmCall(SENDER_HEX, MODULE_HEX, b"run!", 0, GAS_LIMIT, 2 * BASE_FEE)


def write(value: int) -> EvmCall:
    return EvmCall(SENDER_HEX, MODULE_HEX, value.to_bytes(32, "big"), 0, GAS_LIMIT, 2 * BASE_FEE)


def informed(profit: int = 5_000) -> Evm:
    evm = Evm(31337)
    evm.put_account(SENDER_HEX, EvmAccount(balance=ETHER))
    evm.put_account(COINBASE, EvmAccount())
    evm.put_account(MODULE_HEX, EvmAccount(nonce=1, code=module_code()))
    evm.put_slots(MODULE_HEX, {0: profit})
    return evm


def profit_of(evm: Evm, *calls: EvmCall) -> int | None:
    run = evm.run([*calls, RUN], BLOCK)
    assert run.is_whole
    return None if run.results is None else profit_told(run.results[-1].logs, TOKEN, MODULE)


def test_a_run_on_known_state_tells_the_profit_of_the_logs() -> None:
    assert profit_of(informed()) == 5_000


def test_later_calls_of_a_run_see_what_earlier_ones_did() -> None:
    assert profit_of(informed(), write(7)) == 7


def test_a_run_tells_what_it_changed() -> None:
    assert informed().run([write(7)], BLOCK).changes == {MODULE_HEX: {0: 7}}


def test_a_run_leaves_nothing_behind() -> None:
    evm = informed()
    first = evm.run([RUN], BLOCK)
    profit_of(evm, write(7))
    assert evm.run([RUN], BLOCK) == first


def test_what_was_not_given_is_named() -> None:
    run = Evm(31337).run([RUN], BLOCK)
    assert not run.is_whole
    assert {SENDER_HEX, COINBASE} & run.missing_accounts or run.results is None
    evm = informed()
    unknown = Evm(31337)
    for address in (SENDER_HEX, COINBASE, MODULE_HEX):
        unknown.put_account(address, evm.account(address) or EvmAccount())
    run = unknown.run([write(3)], BLOCK)
    assert run.missing_slots == {(MODULE_HEX, 0)}
    assert run.missing_accounts == frozenset()


def test_a_revert_is_no_result_and_harms_no_later_run() -> None:
    evm = informed(profit=0)
    for _ in range(3):
        assert profit_of(evm) is None
    assert profit_of(evm, write(9)) == 9


def test_a_new_value_of_a_slot_is_seen_and_gas_stays_cold() -> None:
    evm = informed()
    before = evm.run([RUN], BLOCK).results
    evm.put_slots(MODULE_HEX, {0: 6_000})
    evm.put_account(MODULE_HEX, EvmAccount(nonce=2, code=module_code()))
    after = evm.run([RUN], BLOCK).results
    assert before is not None
    assert after is not None
    assert profit_told(after[0].logs, TOKEN, MODULE) == 6_000
    assert before[0].gas_used == after[0].gas_used
    assert len(evm) == 4


def test_many_slots_given_at_once_are_all_known() -> None:
    evm = informed()
    evm.put_slots(MODULE_HEX, {slot: slot for slot in range(100, 0, -1)} | {0: 77})
    assert profit_of(evm) == 77


def test_slots_of_the_coinbase_cannot_be_known() -> None:
    evm = informed()
    run = evm.run([RUN], EvmBlock(10, 1_800_000_000, BASE_FEE, 30_000_000, MODULE_HEX))
    assert run.missing_slots == {(MODULE_HEX, 0)}


def test_a_sender_who_cannot_pay_gives_no_result() -> None:
    evm = informed()
    evm.put_account(SENDER_HEX, EvmAccount(balance=1))
    assert profit_of(evm) is None


def test_only_the_vault_modules_own_word_counts_as_profit() -> None:
    results = informed().run([RUN], BLOCK).results
    assert results is not None
    assert profit_told(results[0].logs, Address(b"\1" * 20), MODULE) == 0
    assert profit_told(results[0].logs, TOKEN, Address(b"\1" * 20)) == 0


def test_a_prestate_is_taken_in_as_far_as_it_is_new() -> None:
    evm = informed()
    state = {
        MODULE_HEX.upper().replace("0X", "0x"): decoder(TracedAccount).decode(b'{"storage":{"0x0":"0x1","0x2":"0x3"}}'),
        "0x" + "0c" * 20: decoder(TracedAccount).decode(b'{"balance":"0x5","nonce":2,"code":"0x00"}'),
        "0x" + "0d" * 20: TracedAccount(),
    }
    assert unknown_accounts(evm, state) == {"0x" + "0c" * 20, "0x" + "0d" * 20}
    apply_prestate(evm, state)
    assert profit_of(evm) == 5_000
    assert evm.knows_slot(MODULE_HEX, 2)
    assert evm.account("0x" + "0c" * 20) == EvmAccount(2, 5, b"\0")
    assert evm.account("0x" + "0d" * 20) is None


def changes(pre: Prestate, post: Prestate) -> list[BlockTrace]:
    body = {"result": {"pre": pre, "post": post}}
    return [decoder(BlockTrace).decode(msgspec.json.encode(body))]


def traced(**fields: object) -> TracedAccount:
    """An account as JSON has it, not decoded yet."""
    return fields  # type: ignore[return-value]


def test_a_blocks_changes_are_written_where_the_account_is_known() -> None:
    evm = informed()
    stranger = "0x" + "0e" * 20
    apply_block(
        evm,
        changes(
            {
                MODULE_HEX: traced(balance="0x0", storage={"0x0": "0x1388", "0x9": "0x1"}),
                stranger: traced(balance="0x1"),
            },
            {MODULE_HEX: traced(balance="0x7", storage={"0x0": "0x4"}), stranger: traced(balance="0x2")},
        ),
    )
    assert profit_of(evm) == 4
    assert evm.account(MODULE_HEX) == EvmAccount(1, 7, module_code())
    assert not evm.knows_slot(MODULE_HEX, 9)
    assert evm.account(stranger) is None


def test_a_slot_that_is_left_out_after_a_block_is_zero() -> None:
    evm = informed()
    apply_block(evm, changes({MODULE_HEX: traced(storage={"0x0": "0x1388"})}, {MODULE_HEX: traced(nonce=5)}))
    assert profit_of(evm) is None
    assert evm.account(MODULE_HEX) == EvmAccount(5, 0, module_code())


def test_an_account_that_may_have_got_code_is_to_be_read_anew() -> None:
    evm = informed()
    apply_block(evm, changes({}, {COINBASE: traced(balance="0x0", nonce=1)}))
    assert evm.account(COINBASE) is None
    assert evm.run([RUN], BLOCK).missing_accounts == {COINBASE}
    assert len(evm) == 3


def test_an_account_that_is_left_out_after_a_block_is_gone() -> None:
    evm = informed()
    apply_block(evm, changes({MODULE_HEX: traced(balance="0x1")}, {}))
    assert evm.account(MODULE_HEX) == EvmAccount()
    assert evm.run([RUN], BLOCK).results is not None  # a call to nothing does nothing
