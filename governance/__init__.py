"""The Python side of the contracts: parameters, deployment, proposals, vaults. Imports `protocol` only."""
