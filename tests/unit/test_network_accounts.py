"""Which accounts and keys of the registry a node keeps: those at stake, whatever strangers register."""

from __future__ import annotations

from collections import Counter

from governance.network import HotKeyRecord, OperatorRecord
from governance.policy import EVIDENCE_SECONDS
from node.engine.network.accounts import MAX_ACCOUNTS, MAX_KEYS_OF_ONE, StakedAccounts
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, Hash32, PeerIdHash, StakeUnits, UnixSeconds

TOKEN = 10**18
NOW = UnixSeconds(10**9)


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def topics(event: str, *addresses: Address) -> list[bytes]:
    return [keccak256(event.encode()), *(bytes(12) + each for each in addresses)]


def staked(account: Address) -> list[bytes]:
    return topics("Staked(address,uint256)", account)


def key_set(account: Address, key: Address) -> list[bytes]:
    return topics("HotKeySet(address,address,address)", account, key, address(0))


def record(account: Address, key: Address, active: int = TOKEN, leaving: int = 0) -> OperatorRecord:
    return OperatorRecord(
        account=account,
        hot_key=key,
        active=StakeUnits(active),
        leaving=StakeUnits(leaving),
        ready_at=UnixSeconds(0),
        locked_through=BlockNumber(0),
        locked=StakeUnits(0),
        peer_id_hash=PeerIdHash(Hash32(bytes(32))),
    )


def period(account: Address, since: int, until: int = 0, until_time: int = 0) -> HotKeyRecord:
    return HotKeyRecord(
        operator=account,
        from_block=BlockNumber(since),
        from_time=UnixSeconds(since),
        until_block=BlockNumber(until),
        until_time=UnixSeconds(until_time),
    )


def test_who_registers_without_a_stake_is_never_read() -> None:
    accounts = StakedAccounts(Counter())
    for number in range(1, 1_000):
        accounts.hear(topics("Registered(address)", address(number)))
        accounts.hear(key_set(address(number), address(10_000 + number)))
    assert list(accounts) == []
    assert accounts.keys == {}


def test_who_stakes_is_read_with_the_key_that_it_had_set_before() -> None:
    accounts = StakedAccounts(Counter())
    alice, first, second = address(1), address(2), address(3)
    accounts.hear(key_set(alice, first))
    accounts.hear(staked(alice))
    accounts.hear(key_set(alice, second))
    assert list(accounts) == [alice]
    assert accounts.judge_accounts([record(alice, second)]) == [record(alice, second)]
    accounts.judge_keys([period(alice, 9)], NOW)
    assert accounts.keys == {second: period(alice, 9)}

    early = StakedAccounts(Counter())
    early.hear(key_set(alice, first))
    early.hear(staked(alice))
    early.judge_accounts([record(alice, first)])
    assert list(early.keys) == [first]


def test_dust_is_dropped_and_counts_again_once_it_is_enough() -> None:
    accounts = StakedAccounts(Counter())
    alice, key = address(1), address(2)
    accounts.hear(staked(alice))
    assert accounts.judge_accounts([record(alice, key, TOKEN - 1)]) == []
    assert (list(accounts), accounts.keys) == ([], {})
    accounts.hear(topics("Restored(address,uint256)", alice))
    assert len(accounts.judge_accounts([record(alice, key)])) == 1


def test_stake_on_its_way_out_is_still_watched() -> None:
    accounts = StakedAccounts(Counter())
    alice = address(1)
    accounts.hear(staked(alice))
    assert len(accounts.judge_accounts([record(alice, address(2), 0, TOKEN)])) == 1


def test_beyond_the_bound_those_with_the_least_are_dropped_and_counted() -> None:
    counts = Counter[str]()
    accounts = StakedAccounts(counts)
    records = [record(address(1 + n), address(10**6 + n), TOKEN + n) for n in range(MAX_ACCOUNTS + 3)]
    for one in records:
        accounts.hear(staked(one.account))
    kept = accounts.judge_accounts(records)
    assert len(kept) == len(list(accounts)) == len(accounts.keys) == MAX_ACCOUNTS
    assert kept[0] == records[-1]
    assert kept[-1] == records[3]
    assert counts["accounts_dropped"] == 3


def test_a_former_key_is_kept_as_long_as_its_evidence_counts() -> None:
    accounts = StakedAccounts(Counter())
    alice, old, past, current = (address(number) for number in range(1, 5))
    accounts.hear(staked(alice))
    for key in (past, old, current):
        accounts.hear(key_set(alice, key))
    accounts.judge_accounts([record(alice, current)])
    ended = NOW - EVIDENCE_SECONDS
    accounts.judge_keys([period(alice, 1, 2, ended - 1), period(alice, 2, 3, ended), period(alice, 3)], NOW)
    assert set(accounts.keys) == {old, current}


def test_of_many_keys_of_one_account_the_newest_are_kept() -> None:
    counts = Counter[str]()
    accounts = StakedAccounts(counts)
    alice = address(1)
    accounts.hear(staked(alice))
    keys = [address(100 + number) for number in range(MAX_KEYS_OF_ONE + 5)]
    for key in keys:
        accounts.hear(key_set(alice, key))
    accounts.judge_accounts([record(alice, keys[-1])])
    accounts.judge_keys([period(alice, 1 + number) for number in range(len(keys))], NOW)
    assert set(accounts.keys) == set(keys[5:])
    assert counts["keys_dropped"] == 5
