"""Which function checks which kind of file: one line a kind, one module a topic."""

from __future__ import annotations

from typing import Final

from tests.vectors import (
    arbitrage_paths,
    balancer,
    balancer_v3,
    concentrated,
    constant_product,
    curve,
    curve_meta,
    encodings,
    interfaces,
    peer_identities,
    pool_states,
    routers,
    transactions,
    typed_data,
    uniswap_v4,
)
from tests.vectors.cases import Checker, json_list
from tests.vectors.pools import split_quotes

CHECKERS: Final[dict[str, Checker]] = {
    "abi": Checker(interfaces.split_interface, interfaces.check_interface),
    "abi_codec": Checker(json_list("name"), encodings.check_abi),
    "arb_path": Checker(arbitrage_paths.split_path, arbitrage_paths.check_hop),
    "balancer_fixed_point_math": Checker(balancer.split_fixed_point, balancer.check_fixed_point),
    "balancer_v2_stable_quotes": Checker(split_quotes, balancer.check_stable_quote),
    "balancer_v2_weighted_quotes": Checker(split_quotes, balancer.check_weighted_quote),
    "balancer_v3_pool": Checker(balancer_v3.split_v3, balancer_v3.check_v3),
    "create2": Checker(encodings.split_create2, encodings.check_create2),
    "curve_math": Checker(curve.split_math, curve.check_math),
    "curve_meta_multiblock_quotes": Checker(curve_meta.split_multiblock, curve_meta.check_meta_quote),
    "curve_meta_quotes": Checker(split_quotes, curve_meta.check_meta_quote),
    "curve_plain_liquidity_quotes": Checker(split_quotes, curve.check_plain_quote),
    "curve_plain_quotes": Checker(split_quotes, curve.check_plain_quote),
    "curve_tricrypto_quotes": Checker(split_quotes, curve_meta.check_crypto_quote),
    "eip712_eth_account": Checker(json_list("id"), typed_data.check_eth_account),
    "eip712_ethers": Checker(json_list("name"), typed_data.check_ethers),
    "libp2p_peer_id_keys": Checker(json_list("key_type"), peer_identities.check_keys),
    "libp2p_peer_id_text_forms": Checker(json_list("text"), peer_identities.check_text_form),
    "libp2p_tls_certificates": Checker(json_list("title"), peer_identities.check_certificate),
    "pool_state": Checker(pool_states.split_state, pool_states.check_state),
    "router_calldata": Checker(json_list("transaction_hash"), routers.check_router_call),
    "solidly_math": Checker(constant_product.split_solidly_math, constant_product.check_solidly_math),
    "solidly_stable_quotes": Checker(split_quotes, constant_product.check_solidly_quote),
    "tx_eth_account_typed_transactions": Checker(json_list("id"), transactions.check_eth_account),
    "tx_ethereum_tests_transactions": Checker(transactions.split_by_fork, transactions.check_fork),
    "tx_ethers_private_key_addresses": Checker(json_list("name"), encodings.check_private_key),
    "tx_ethers_rlp": Checker(json_list("name"), encodings.check_rlp),
    "tx_ethers_signed_transactions": Checker(json_list("id"), transactions.check_ethers),
    "v2_pair_swaps": Checker(constant_product.split_pair_swaps, constant_product.check_pair_swap),
    "v2_pair_unit": Checker(json_list("fn"), constant_product.check_pair_unit),
    "v2_quotes_aerodrome": Checker(split_quotes, constant_product.check_solidly_quote),
    "v2_quotes_pancake": Checker(split_quotes, constant_product.check_pancake_quote),
    "v3_pool_swaps": Checker(json_list("id"), concentrated.check_pool_swap),
    "v3_quotes": Checker(split_quotes, concentrated.check_v3_quote),
    "v3_quotes_aerodrome_cl": Checker(split_quotes, concentrated.check_v3_quote),
    "v3_sqrt_price_math": Checker(json_list("fn"), concentrated.check_sqrt_price_math),
    "v3_swap_step": Checker(json_list("note"), concentrated.check_swap_step),
    "v3_tick_bitmap": Checker(concentrated.split_tick_bitmap, concentrated.check_tick_bitmap),
    "v3_tick_math": Checker(json_list("fn"), concentrated.check_tick_math),
    "v4_quotes": Checker(split_quotes, uniswap_v4.check_v4_quote),
}
