"""Checks our maths and decoders against a folder of vectors that nobody here wrote (`scripts/vectors`).

The folder's `kinds.json` says which kind each file is; `registry.py` says which function checks a kind.
"""
