"""The encodings of Ethereum that everything above agrees on: Keccak, keys, RLP, ABI, transactions, typed data."""
