"""Deploys the network from brownie's environment, `.venv-contracts`: its web3, its eth-abi, our deployment.

Reads from standard input a JSON object with `url`, `secret` (hex), `journal`, `holder`, `guardian`, `fee_token`. Prints
one with the addresses by name, and the version of web3. Whatever it does not expect ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import web3

from governance.caller import JsonRpcCaller
from governance.deploy import deploy
from governance.deploy_plan import plan_of
from governance.deploy_settings import EpochCut, NetworkSettings
from protocol.ethereum.keys import SigningKey
from protocol.units import TokenAmount, address_from_hex, address_to_hex


class NodeError(Exception):
    """An error object of the node."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.data = error.get("data")


class Web3Rpc:
    """JSON-RPC through web3's provider."""

    def __init__(self, url: str) -> None:
        self._provider = web3.HTTPProvider(url)

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result."""
        answer = self._provider.make_request(method, list(params))
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["result"]


async def main(given: dict[str, str]) -> None:
    """Plan from the deployer's nonce on, deploy, print."""
    rpc = Web3Rpc(given["url"])

    async def mine() -> None:
        await rpc.call("evm_mine")

    caller = JsonRpcCaller(rpc, SigningKey(bytes.fromhex(given["secret"])), mine)
    settings = NetworkSettings(
        guardian=address_from_hex(given["guardian"]),
        supply_holder=address_from_hex(given["holder"]),
        initial_supply=TokenAmount(10**24),
        fee_token=address_from_hex(given["fee_token"]),
        cut=EpochCut(length=30, cut_off=12, lag=6),
    )
    plan = plan_of(await caller.chain_id(), caller.account, await caller.nonce(), settings)
    addresses = await deploy(caller, plan, Path(given["journal"]), lambda _text: True)
    told = {name: address_to_hex(address) for name, address in addresses.items()}
    sys.stdout.write(json.dumps({"web3": web3.__version__, "addresses": told}))


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
