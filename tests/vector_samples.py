"""A small folder of vectors, a file a kind, for tests of the vectors runner itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from protocol.ethereum.keys import checksum_address
from protocol.ethereum.transaction_json import to_rpc
from protocol.ethereum.transactions import SignedTransaction, signing_payload
from tests.ethereum_samples import ALICE, signed
from tests.unit.test_ethereum_transactions import EIP155_RAW
from tests.unit.test_ethereum_typed_data import MAIL, MAIL_DIGEST

MAIL_ENCODED = (
    "0xa0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d"
    "8dbe21b85eb0c8cd54f074a4af31b4411ff6a60c9719dbd559c221c8ac3492d9d872b041d703d1b5aadf3154a261abdd9086fc627b61efca26ae"
    "5702701d05cd2305f7c52a2fc8"
)  # of the standard


def rlp_cases() -> list[Any]:
    return [{"name": "cat and dog", "decoded": ["0x636174", ["0x646f67"]], "encoded": "0xc983636174c483646f67"}]


def key_cases() -> list[Any]:
    return [
        {
            "name": "one",
            "privateKey": "0x" + "00" * 31 + "01",
            "address": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
            "icap": "XE21ERF4STLB4CJC4UJJTZHGOOGJLHSGKIN",
        }
    ]


def create2_cases() -> list[Any]:
    made = {
        "name": "EIP-1014's first",
        "salt": "0x" + "00" * 32,
        "initCode": "0x00",
        "initCodeHash": "0xbc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a",
        "address": "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38",
    }
    return [{"sender": "0x" + "00" * 20, "creates": [made]}]


def abi_cases() -> list[Any]:
    def word(number: int) -> str:
        return f"{number % 2**256:064x}"

    address = checksum_address("0x" + "a1" * 20)
    parts = [
        {"type": "number", "value": "-5"},
        {"type": "boolean", "value": True},
        {"type": "address", "value": address},
        {"type": "hexstring", "value": "0x0102"},
        {"type": "string", "value": "é"},
        {"type": "array", "value": [{"type": "number", "value": "7"}]},
    ]
    heads = word(-5) + word(1) + word(int(address, 16)) + word(0x0102 << 240) + word(192) + word(256)
    tails = word(2) + "c3a9" + "00" * 30 + word(1) + word(7)
    return [
        {
            "name": "one of each",
            "type": "(int8,bool,address,bytes2,string,uint256[])",
            "value": ["-5", True, address, "0x0102", "é", ["7"]],
            "verbose": {"type": "object", "value": parts},
            "encoded": "0x" + word(32) + heads + tails,
        }
    ]


def ethers_typed_cases() -> list[Any]:
    return [
        {
            "name": "mail",
            "domain": MAIL["domain"],
            "primaryType": "Mail",
            "types": {name: fields for name, fields in MAIL["types"].items() if name != "EIP712Domain"},
            "data": MAIL["message"],
            "encoded": MAIL_ENCODED,
            "digest": "0x" + MAIL_DIGEST,
            "privateKey": "0xc85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4",
            "signature": "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
            "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c",
        }
    ]


def eth_account_typed_cases() -> list[Any]:
    no_number, no_struct = copy.deepcopy(MAIL), copy.deepcopy(MAIL)
    no_number["message"]["to"]["wallet"] = "nobody"
    no_struct["primaryType"] = "Horse"
    return [
        {"id": "valid", "expect": "valid", "full_message": MAIL, "digest_by_eth_account": "0x" + MAIL_DIGEST},
        {"id": "bad", "expect": "invalid", "full_message": no_number},
        {"id": "bad whole", "expect": "invalid_as_full_message_only", "full_message": no_struct},
    ]


def ethers_transaction(transaction: SignedTransaction) -> dict[str, Any]:
    body = to_rpc(transaction)
    fields = {"gasLimit": body["gas"], "data": body["input"], "to": checksum_address(transaction.to or "")}
    copied = (
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "accessList",
        "maxFeePerBlobGas",
        "blobVersionedHashes",
        "chainId",
    )
    fields |= {name: body[name] for name in ("value", "nonce", *copied) if name in body}
    if transaction.type < 2:
        fields["gasPrice"] = body["gasPrice"]
    return {
        "id": f"type {transaction.type}",
        "raw": "0x" + transaction.raw.hex(),
        "unsigned": "0x" + signing_payload(transaction).hex(),
        "tx_hash": body["hash"],
        "signing_hash": "0x" + transaction.signing_hash.hex(),
        "type": transaction.type,
        "eip155": transaction.chain_id is not None,
        "from": checksum_address(transaction.sender),
        "signature": {name: body[name] for name in "rsv"},
        "fields": fields,
    }


def ethers_transaction_cases() -> list[Any]:
    cases = [ethers_transaction(signed(kind)) | {"privateKey": "0x" + "00" * 31 + "01"} for kind in range(4)]
    old = ethers_transaction(signed(0, chain_id=None)) | {"id": "old"}
    used = ["nonce", "gasPrice", "gasLimit", "to", "value", "data"]
    return [*cases, old | {"fields": old["fields"] | {"chainId": "0x1"}, "fields_used": used}]


def eth_account_transaction_cases() -> list[Any]:
    cases = []
    for kind in range(1, 5):
        transaction = signed(kind)
        body = to_rpc(transaction)
        stated = {
            key: body[key] for key in body if not key.startswith(("block", "hash", "from", "yParity", "transaction"))
        }
        if kind > 1:
            del stated["gasPrice"]
        stated["data"] = stated.pop("input")
        if kind == 4:
            stated["authorizationList"][1] = "0x"
        cases.append(
            {
                "id": f"type {kind}",
                "type": kind,
                "transaction": stated,
                "expected_raw_transaction": "0x" + transaction.raw.hex(),
                "expected_hash": "0x" + transaction.signing_hash.hex(),
                "tx_hash_keccak_of_raw": "0x" + transaction.hash.hex(),
                "sender": checksum_address(ALICE.address),
            }
        )
    return cases


def ethereum_tests_cases() -> list[Any]:
    good = {
        "sender": "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f",
        "hash": "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788",
        "intrinsicGas": "0x5208",
    }
    poor = signed(0, chain_id=1, gas_limit=21_000).raw
    return [
        {
            "id": "EIP-155",
            "txbytes": "0x" + EIP155_RAW.hex(),
            "result": {
                "Homestead": {"exception": "TransactionException.INVALID_SIGNATURE_VRS", "intrinsicGas": "0x00"},
                "EIP158": good,
                "Osaka": good,
            },
        },
        {
            "id": "poor",
            "txbytes": "0x" + poor.hex(),
            "result": {
                "Berlin": {"exception": "TransactionException.INTRINSIC_GAS_TOO_LOW", "intrinsicGas": hex(21_000 + 52)},
            },
        },
        {
            "id": "broken",
            "txbytes": "0xc0",
            "result": {"Berlin": {"exception": "TransactionException.RLP_TOO_FEW_ELEMENTS", "intrinsicGas": "0x00"}},
        },
    ]


SPEC_CERTIFICATE = (
    "308201ae30820156a0030201020204499602d2300a06082a8648ce3d040302302031123010060355040a13096c69627032702e696f310a30"
    "0806035504051301313020170d3735303130313133303030305a180f34303936303130313133303030305a302031123010060355040a1309"
    "6c69627032702e696f310a300806035504051301313059301306072a8648ce3d020106082a8648ce3d030107034200040c901d423c831ca8"
    "5e27c73c263ba132721bb9d7a84c4f0380b2a6756fd601331c8870234dec878504c174144fa4b14b66a651691606d8173e55bd37e381569e"
    "a37c307a3078060a2b0601040183a25a0101046a3068042408011220a77f1d92fedb59dddaea5a1c4abd1ac2fbde7d7b879ed36450180992"
    "3d7c11b90440d90d2769db992d5e6195dbb08e706b6651e024fda6cfb8846694a435519941cac215a8207792e42849cccc6cd8136c6e4bde"
    "92a58c5e08cfd4206eb5fe0bf909300a06082a8648ce3d0403020346003043021f50f6b6c52711a881778718238f650c9fb48943ae6ee6d2"
    "8427dc6071ae55e702203625f116a7a454db9c56986c82a25682f7248ea1cb764d322ea983ed36a31b77"
)  # of libp2p's specification, tls.md: it authenticates an Ed25519 identity


def peer_key_cases() -> list[Any]:
    """Two keys of libp2p's specification, peer-ids.md, with their ids by its rule."""
    head = "08031279307702010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4ca00a0608"
    point = (
        "de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e"
        "8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62"
    )
    return [
        {
            "private_key_protobuf_hex": "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb",
            "public_key_protobuf_hex": "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
            "peer_id_base58": "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
            "multihash_hex": "002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
            "key_type": "secp256k1",
        },
        {
            "private_key_protobuf_hex": head + "2a8648ce3d030107a14403420004" + point,
            "public_key_protobuf_hex": "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004" + point,
            "peer_id_base58": "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk",
            "multihash_hex": "122068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
            "key_type": "ecdsa",
        },
    ]


def peer_text_cases() -> list[Any]:
    digest = "12209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9"
    return [
        {
            "text": "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "form": "base58btc sha2-256",
            "multihash_hex": digest,
        },
        {
            "text": "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
            "form": "CIDv1 base32",
            "multihash_hex": digest,
        },
        {
            "text": "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            "form": "base58btc identity (ed25519)",
            "multihash_hex": "0024080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b",
        },
    ]


def certificate_cases() -> list[Any]:
    """The specification's certificate, and the same with another signature, which must be refused."""
    peer = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"
    forged = SPEC_CERTIFICATE[:-1] + "8"
    return [
        {"id": "genuine", "certificate_der_hex": SPEC_CERTIFICATE, "peer_id": peer},
        {"id": "forged", "certificate_der_hex": forged, "peer_id": None},
    ]


SAMPLES = {
    "abi_codec": abi_cases,
    "create2": create2_cases,
    "eip712_eth_account": eth_account_typed_cases,
    "eip712_ethers": ethers_typed_cases,
    "libp2p_peer_id_keys": peer_key_cases,
    "libp2p_peer_id_text_forms": peer_text_cases,
    "libp2p_tls_certificates": certificate_cases,
    "tx_eth_account_typed_transactions": eth_account_transaction_cases,
    "tx_ethereum_tests_transactions": ethereum_tests_cases,
    "tx_ethers_private_key_addresses": key_cases,
    "tx_ethers_rlp": rlp_cases,
    "tx_ethers_signed_transactions": ethers_transaction_cases,
}


def write_folder(folder: Path, files: dict[str, tuple[str, bytes]]) -> Path:
    """Write files (name → kind and content) with their `kinds.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, content) in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "kinds.json").write_text(json.dumps({name: kind for name, (kind, _) in files.items()}))
    return folder


def sample_folder(folder: Path, only: str | None = None, cases: list[Any] | None = None) -> Path:
    """Write the samples of every kind, or of one with other cases."""
    kinds = [only] if only else list(SAMPLES)
    contents = {kind: json.dumps(SAMPLES[kind]() if cases is None else cases).encode() for kind in kinds}
    return write_folder(folder, {f"{kind}.json": (kind, contents[kind]) for kind in kinds})
