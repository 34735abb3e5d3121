"""Which function checks which kind of file: one line a kind, one module a topic."""

from __future__ import annotations

from typing import Final

from tests.vectors import encodings, transactions, typed_data
from tests.vectors.cases import Checker, json_list

CHECKERS: Final[dict[str, Checker]] = {
    "abi_codec": Checker(json_list("name"), encodings.check_abi),
    "create2": Checker(encodings.split_create2, encodings.check_create2),
    "eip712_eth_account": Checker(json_list("id"), typed_data.check_eth_account),
    "eip712_ethers": Checker(json_list("name"), typed_data.check_ethers),
    "tx_eth_account_typed_transactions": Checker(json_list("id"), transactions.check_eth_account),
    "tx_ethereum_tests_transactions": Checker(transactions.split_by_fork, transactions.check_fork),
    "tx_ethers_private_key_addresses": Checker(json_list("name"), encodings.check_private_key),
    "tx_ethers_rlp": Checker(json_list("name"), encodings.check_rlp),
    "tx_ethers_signed_transactions": Checker(json_list("id"), transactions.check_ethers),
}
