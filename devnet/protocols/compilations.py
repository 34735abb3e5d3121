"""The contracts that come as sources: which compiler, which settings, and the few words that are changed and why.

WETH9 and Multicall3 come out byte for byte as on mainnet; Sushi and the Chainlink feeds are their packages' sources,
compiled here. The tokens are ours.
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
from protocol.ethereum.keccak import keccak256

SUSHI_MAINNET_INIT_HASH: Final = "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"
OWN_CONTRACTS: Final = (
    "DevnetToken",
    "FeeOnTransferToken",
    "RebasingToken",
    "RevertingToken",
    "FlashLoanProbe",
    *searchers.CONTRACTS,
)
"""Ours: the tokens, and a borrower of flash loans that only tests deploy."""

# canonical-weth rewrote mainnet's source for newer compilers; these put mainnet's words back.
_WETH_MAINNET_WORDS: Final = (
    ("pragma solidity >=0.4.22 <0.6", "pragma solidity ^0.4.18"),
    ("emit ", ""),
    ("function() external payable", "function() public payable"),
    ("address(this).balance", "this.balance"),
)
_SWARM_HASH: Final = bytes.fromhex("a165627a7a72305820")
_WETH_MAINNET_SWARM_HASH: Final = bytes.fromhex("deb4c2ccab3c2fdca32ab3f46728389c2fe2c165d5fafa07661e4e004f6c344a")
"""Hash of mainnet's metadata, at the end of its code: data that never runs, not derivable from the package."""


def compile_all(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    """Return every compiled contract that the world needs, by name; Sushi's carry the prefix `Sushi`."""
    steps = (_weth, _multicall, _feeds, _sushi, _own)
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
    creation, runtime = _with_mainnet_metadata(compiled.creation), _with_mainnet_metadata(compiled.runtime)
    return {"WETH9": replace(compiled, creation=creation, runtime=runtime)}


def _with_mainnet_metadata(code: bytes) -> bytes:
    start = code.rindex(_SWARM_HASH) + len(_SWARM_HASH)
    return code[:start] + _WETH_MAINNET_SWARM_HASH + code[start + 32 :]


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
        title="SushiSwap's factory",
        compiler="solc-0.6",
        sources=package_sources(packages, "@sushiswap/core/contracts/uniswapv2", ["UniswapV2Factory.sol"]),
        contracts=("UniswapV2Factory", "UniswapV2Pair"),
        evm_version="istanbul",
        optimizer_runs=200,
    )
    compiled = compile_build(packages, home, build, progress)
    # The router finds pairs by the hash of their creation code, which covers the metadata of mainnet's own build.
    init_hash = keccak256(compiled["UniswapV2Pair"].creation).hex()
    sources = {
        unit: text.replace(SUSHI_MAINNET_INIT_HASH, init_hash)
        for unit, text in package_sources(
            packages, "@sushiswap/core/contracts/uniswapv2", ["UniswapV2Router02.sol"]
        ).items()
    }
    router = replace(build, title="SushiSwap's router", sources=sources, contracts=("UniswapV2Router02",))
    compiled |= compile_build(packages, home, router, progress)
    return {name.replace("UniswapV2", "Sushi"): artifact for name, artifact in compiled.items()}


def _own(packages: Packages, home: Home, progress: Progress) -> dict[str, Artifact]:
    build = Build(
        title="the devnet's tokens and searchers",
        compiler="solc",
        sources=own_sources(packages, [f"{name}.sol" for name in OWN_CONTRACTS]),
        contracts=OWN_CONTRACTS,
        evm_version="prague",
        optimizer_runs=200,
    )
    return compile_build(packages, home, build, progress)
