"""The contracts that come as sources: which compiler, which settings, and the few words that are changed and why.

WETH9, Multicall3 and Sushi's pair come out byte for byte as on mainnet; Sushi's factory and router, the Chainlink feeds
and Morpho Blue are their packages' sources, compiled here. The tokens and a few more are ours.

Code ends with a hash of the compilation's metadata, which covers the path of the file on the deployer's machine. That
cannot be derived from a package, and it never runs: where all else is equal, mainnet's is put in.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from devnet.artifacts import Artifact
from devnet.home import Home
from devnet.packages import Packages, Progress
from devnet.protocols import searchers
from devnet.solidity import Build, compile_build, own_sources, package_sources

OWN_CONTRACTS: Final = (
    "DevnetToken",
    "FeeOnTransferToken",
    "RebasingToken",
    "RevertingToken",
    "DevnetStableSwap",
    "DevnetShareVault",
    "FeedPriceOracle",
    "FlashLoanProbe",
)
"""Ours: tokens, a pool with Curve's interface, a vault with shares, an oracle for Morpho, and a borrower of flash loans
that only tests deploy."""

# canonical-weth rewrote mainnet's source for newer compilers; these put mainnet's words back.
_WETH_MAINNET_WORDS: Final = (
    ("pragma solidity >=0.4.22 <0.6", "pragma solidity ^0.4.18"),
    ("emit ", ""),
    ("function() external payable", "function() public payable"),
    ("address(this).balance", "this.balance"),
)
_SWARM: Final = bytes.fromhex("a165627a7a72305820")
_WETH_MAINNET_METADATA: Final = bytes.fromhex("deb4c2ccab3c2fdca32ab3f46728389c2fe2c165d5fafa07661e4e004f6c344a")
_IPFS: Final = bytes.fromhex("a2646970667358221220")
_SUSHI_MAINNET_METADATA: Final = bytes.fromhex("713a8bf21df06433f34b5c9abf186abb737e72524583bdf420105a289791e248")


def compile_all(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    """Return every compiled contract that the world needs, by name; Sushi's carry the prefix `Sushi`."""
    steps = (_weth, _multicall, _feeds, _sushi, _morpho, _own)
    with ThreadPoolExecutor(max_workers=len(steps)) as pool:
        results = [pool.submit(step, packages, home, progress) for step in steps]
        return {name: artifact for result in results for name, artifact in result.result().items()}


def _weth(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    source = package_sources(packages, "canonical-weth/contracts", ["WETH9.sol"])["WETH9.sol"]
    for package_words, mainnet_words in _WETH_MAINNET_WORDS:
        source = source.replace(package_words, mainnet_words)
    build = Build(
        title="WETH9",
        compiler="solc-0.4.19",
        sources={"WETH9.sol": source},
        contracts=("WETH9",),
        evm_version=None,
        optimizer_runs=None,
    )
    compiled = compile_build(packages, home, build, progress)["WETH9"]
    return {"WETH9": _with_metadata(compiled, _SWARM, _WETH_MAINNET_METADATA)}


def _with_metadata(artifact: Artifact, marker: bytes, metadata: bytes) -> Artifact:
    """Put another metadata hash behind the last `marker` of the artifact's code."""

    def changed(code: bytes) -> bytes:
        start = code.rindex(marker) + len(marker)
        return code[:start] + metadata + code[start + len(metadata) :]

    return replace(artifact, creation=changed(artifact.creation), runtime=changed(artifact.runtime))


def _multicall(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    folder = "@chainlink/contracts/src/v0.8/vendor/multicall/ebd8b64/src"
    source = package_sources(packages, folder, ["Multicall3.sol"])["Multicall3.sol"]
    build = Build(
        title="Multicall3",
        compiler="solc-0.8.12",
        # Chainlink loosened the pragma; mainnet's metadata hash covers the original line and this file name.
        sources={"Multicall3.sol": source.replace("pragma solidity ^0.8.12;", "pragma solidity 0.8.12;")},
        contracts=("Multicall3",),
        evm_version="london",
        optimizer_runs=10_000_000,
    )
    return compile_build(packages, home, build, progress)


def _feeds(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    build = Build(
        title="the Chainlink feeds",
        compiler="solc-0.6.6",
        sources=package_sources(packages, "chainlink-v6/src/v0.6", ["FluxAggregator.sol", "EACAggregatorProxy.sol"]),
        contracts=("FluxAggregator", "EACAggregatorProxy"),
        evm_version="istanbul",
        optimizer_runs=1_000_000,
    )
    return compile_build(packages, home, build, progress)


def _sushi(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    build = Build(
        title="SushiSwap",
        compiler="solc-0.6",
        sources=package_sources(
            packages, "@sushiswap/core/contracts/uniswapv2", ["UniswapV2Factory.sol", "UniswapV2Router02.sol"]
        ),
        contracts=("UniswapV2Factory", "UniswapV2Pair", "UniswapV2Router02"),
        evm_version="istanbul",
        optimizer_runs=200,
    )
    compiled = compile_build(packages, home, build, progress)
    pair = _with_metadata(compiled["UniswapV2Pair"], _IPFS, _SUSHI_MAINNET_METADATA)
    factory = compiled["UniswapV2Factory"]
    with_pair = {
        part: code.replace(compiled["UniswapV2Pair"].creation, pair.creation)
        for part, code in (("creation", factory.creation), ("runtime", factory.runtime))
    }
    return {
        "SushiPair": pair,
        "SushiFactory": replace(factory, creation=with_pair["creation"], runtime=with_pair["runtime"]),
        "SushiRouter02": compiled["UniswapV2Router02"],
    }


def _morpho(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    build = Build(
        title="Morpho Blue",
        compiler="solc-0.8.19",
        sources=package_sources(packages, "@morpho-org/morpho-blue/src", ["Morpho.sol", "mocks/IrmMock.sol"]),
        contracts=("Morpho", "IrmMock"),
        evm_version="paris",
        optimizer_runs=999_999,
        via_ir=True,
    )
    return compile_build(packages, home, build, progress)


def _own(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    build = Build(
        title="the devnet's own contracts",
        compiler="solc",
        sources=own_sources(packages, [f"{name}.sol" for name in (*OWN_CONTRACTS, *searchers.CONTRACTS)]),
        contracts=(*OWN_CONTRACTS, *searchers.CONTRACTS),
        evm_version="prague",
        optimizer_runs=200,
    )
    return compile_build(packages, home, build, progress)
