"""Brownie's side of a chain: the connection, the accounts, the deployment by our plan, contracts out of governance/abi.

Runs in `.venv-contracts` only. The chain counts as a live one for brownie: it estimates gas and waits for receipts as
it does anywhere, and knows nothing of Anvil; blocks and time are moved by the node's own methods.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import brownie
from brownie._config import CONFIG
from brownie.exceptions import VirtualMachineError
from web3 import HTTPProvider

from governance.caller import JsonRpcCaller
from governance.contracts import contract
from governance.deploy import deploy
from governance.deploy_plan import STAKING, STREAM, TOKEN, plan_of
from governance.deploy_settings import EpochCut, NetworkSettings
from protocol.ethereum.abi import decode, encode_call
from protocol.ethereum.keys import SigningKey
from protocol.signing import Domain
from protocol.units import Address, ChainId, TokenAmount, address_from_hex, address_to_hex
from tests.contracts.brownie_terms import Given

ETHER: Final = 10**18
CHAIN: Final = ChainId(31337)
SUPPLY: Final = TokenAmount(1_000_000 * ETHER)
CUT: Final = EpochCut(length=30, cut_off=12, lag=6)
BLOCK_SECONDS: Final = 2
_NETWORK: Final = "the-devnet"
_SECONDS: Final = 30

Move = dict[tuple[str, str], int]
"""Who, and HFT or WETH, to smallest units."""


class NodeError(Exception):
    """An error object of the node."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.data = error.get("data")


def ask(method: str, *params: Any) -> Any:
    """One JSON-RPC call through brownie's web3."""
    answer = brownie.web3.provider.make_request(method, list(params))
    if "error" in answer:
        raise NodeError(answer["error"])
    return answer["result"]


class _MiningProvider(HTTPProvider):  # type: ignore[misc]
    """Mines each transaction in a block of its own before its sender is answered.

    Anvil's automining would answer first, and brownie takes what has a nonce and no receipt yet for dropped.
    """

    def make_request(self, method: str, params: Any) -> Any:
        """Ask the node."""
        answer = super().make_request(method, params)
        if method == "eth_sendRawTransaction" and "error" not in answer:
            super().make_request("evm_mine", [])
        return answer


class _Rpc:
    async def call(self, method: str, *params: Any) -> Any:
        return ask(method, *params)


def head() -> dict[str, Any]:
    """The latest block as the node tells it."""
    found: dict[str, Any] = ask("eth_getBlockByNumber", "latest", False)
    return found


def height() -> int:
    """The latest block's number."""
    return int(head()["number"], 16)


def mine_to(block: int) -> None:
    """Let empty blocks pass, up to and including `block`."""
    if (missing := block - height()) > 0:
        ask("anvil_mine", hex(missing))


def pass_time(seconds: int) -> None:
    """Mine a block so much later."""
    ask("evm_setNextBlockTimestamp", int(head()["timestamp"], 16) + seconds)
    ask("evm_mine")


def refusal(method: Any, *arguments: Any, by: Any) -> str:
    """Why a call would revert, in brownie's words: the custom error's name and its values."""
    try:
        method.call(*arguments, {"from": by})
    except VirtualMachineError as error:
        return str(error.revert_msg)
    raise AssertionError(f"{method._name} was not refused")


def view(to: str, signature: str, returns: str, *arguments: Any) -> Any:
    """What a view of a contract that is not ours returns first."""
    data = "0x" + encode_call(signature, *arguments).hex()
    return decode([returns], bytes.fromhex(ask("eth_call", {"to": to, "data": data}, "latest")[2:]))[0]


@dataclass
class Network:
    """The set on one chain, as brownie's contracts, by name; and accounts, by part."""

    given: Given
    at: dict[str, Any] = field(default_factory=dict)
    who: dict[str, Any] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    _held: Move = field(default_factory=dict)

    def key(self, part: str) -> SigningKey:
        """What a part signs statements with."""
        return SigningKey(bytes.fromhex(self.given.secrets[part]))

    def raw(self, part: str) -> Address:
        """The address of a part."""
        return address_from_hex(self.key(part).address)

    @property
    def domain(self) -> Domain:
        """What statements are signed for."""
        return Domain(CHAIN, address_from_hex(self.at[STAKING].address))

    @contextmanager
    def step(self, name: str, moves: Move | None = None) -> Iterator[None]:
        """Hold what is done, and all since the step before, to these moves of HFT and WETH; nothing else may move."""
        before = self._held or self._balances()
        yield
        self._held = after = self._balances()
        moved = {who: after[who] - amount for who, amount in before.items() if after[who] != amount}
        assert moved == {who: amount for who, amount in (moves or {}).items() if amount}, f"{name}: {moved}"
        self.steps.append(name)

    def _balances(self) -> Move:
        holders = {part: account.address for part, account in self.who.items()}
        holders |= {name: one.address for name, one in self.at.items()} | {"safe": self.given.safe}
        tokens = {"HFT": self.at[TOKEN], "WETH": self.at["weth"]}
        held = {
            (who, symbol): int(token.balanceOf(where))
            for symbol, token in tokens.items()
            for who, where in holders.items()
        }
        return held | {("all", "HFT"): int(self.at[TOKEN].totalSupply())}


@contextmanager
def connected(given: Given) -> Iterator[None]:
    """Be connected, with a block for each transaction. Brownie keeps its files below $HOME."""
    assert Path(os.environ["HOME"]).samefile(given.folder), "brownie would write into the user's home"
    CONFIG.networks[_NETWORK] = {"id": _NETWORK, "name": _NETWORK, "host": given.url, "chainid": str(CHAIN)}
    with redirect_stdout(sys.stderr):
        brownie.network.connect(_NETWORK)
        brownie.web3.provider = _MiningProvider(given.url)
        brownie.network.max_fee("100 gwei")
        brownie.network.priority_fee("1 gwei")
        ask("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
        try:
            yield
        finally:
            brownie.network.disconnect(kill_rpc=False)


async def deployed(given: Given) -> Network:
    """Deploy by the plan, and put brownie's contracts and accounts in place."""
    network = Network(given)
    for part, secret in given.secrets.items():
        network.who[part] = brownie.accounts.add(secret)
        ask("anvil_setBalance", network.who[part].address, hex(100 * ETHER))

    async def mine() -> None:
        ask("evm_mine")

    caller = JsonRpcCaller(_Rpc(), network.key("deployer"), mine)
    settings = NetworkSettings(
        guardian=network.raw("guardian"),
        supply_holder=network.raw("holder"),
        initial_supply=SUPPLY,
        fee_token=address_from_hex(given.contracts["weth"]),
        cut=CUT,
        bindings=given.bindings,
    )
    plan = plan_of(await caller.chain_id(), caller.account, await caller.nonce(), settings)
    addresses = await deploy(caller, plan, Path(given.folder) / "deployment.json", lambda _text: True)
    for name, address in addresses.items():
        network.at[name] = brownie.Contract.from_abi(name, address_to_hex(address), contract(name).abi, persist=False)
    network.at["weth"] = brownie.Contract.from_abi("Weth", given.contracts["weth"], contract(TOKEN).abi, persist=False)
    assert str(network.at[STREAM].TOKEN()).lower() == given.contracts["weth"]
    return network
