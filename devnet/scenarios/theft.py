"""theft: the hot key is stolen. The thief can waste gas and pause; principal stays; owners pause, rotate, resume."""

from __future__ import annotations

from devnet.accounts import Account, account
from devnet.scenarios.cast import ANYBODY, Seat, veterans
from devnet.scenarios.stage import Stage
from devnet.scenarios.trade import DRAWN, execution, selling_weth, unbalance
from governance.actions import Action, set_hot_key
from governance.amounts import ETHER, Unit
from governance.contracts import VAULT_MODULE
from governance.network import operator_query, request_unstake_call, transfer_call
from governance.policy import LOOSENING_SECONDS
from governance.safe_plans import SafePlan, change_words
from governance.vault_reading import read_safe, read_vault
from governance.vaults import Change, ChangeKind, SafeTransaction, enact_call, propose_call, tighten_call
from protocol.ethereum.abi import encode_call
from protocol.signing import sign
from protocol.statements import HotKeyBinding
from protocol.units import BlockNumber, TokenAmount, Wei, address_from_hex

_WETH = Unit("WETH", 18)
_DUST = Wei(10**18)
"""Left for the gas of what the thief tries next."""


async def play(stage: Stage) -> None:
    """Let a thief do with the hot key what it can, measure the loss, and let the owners take everything back."""
    victim = stage.random.choice(veterans(stage))
    owners = [account(f"{victim.name}-owner-{number}") for number in range(3)]
    weth, safe = stage.manifest.contracts["weth"], "0x" + victim.safe.hex()
    held = await stage.balance(weth, safe)
    gas = await _ether(stage, victim.hot_key.address)
    stage.tell(f"the bound: principal 0, and the {ETHER.shown(gas)} that the hot key has for gas")

    stage.tell("act 1: the thief cannot take principal")
    await _thief_tries(stage, victim)
    stage.expect(await stage.balance(weth, safe) == held, f"the Safe has its {_WETH.shown(held)}")

    stage.tell("act 2: what it can take is gas, and what would have been earned")
    await unbalance(stage)
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 1), None)
    await stage.act(victim.hot_key, execution(stage, victim.safe, plan, "trade with the vault"))
    gained = await stage.balance(weth, safe) - held
    stage.expect(gained > 0, f"even the thief's trade pays the Safe: {_WETH.shown(gained)}")
    left = await _ether(stage, victim.hot_key.address)
    loot = account("whale-2")
    spent = Wei(left - _DUST)
    take = Action(contract="", to=address_from_hex(loot.address), data=b"", title="take the ether", value=spent)
    await stage.act(victim.hot_key, take)
    lost = gas - await _ether(stage, victim.hot_key.address)
    stage.expect(lost <= gas, f"the whole loss is {ETHER.shown(lost)}, within the bound")

    stage.tell("act 3: any one owner stops it at once")
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    drop = Change(kind=ChangeKind.OPERATOR)
    await stage.act(owners[2], _tighten(stage, victim, drop))
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 1), None)
    await stage.refused(victim.hot_key, execution(stage, victim.safe, plan, "trade once more"), "NotOperator")

    stage.tell("act 4: the account puts a new hot key in force, and two owners let it trade, in 48 hours")
    fresh = account(f"{victim.name}-fresh-key")
    await _fund(stage, fresh.address)
    binding = sign(stage.domain, HotKeyBinding(operator=victim.account), fresh.key)
    await stage.act(victim.owner, set_hot_key(stage.contracts, address_from_hex(fresh.address), binding))
    loosening = Change(kind=ChangeKind.OPERATOR, subject=address_from_hex(fresh.address))
    await _by_the_safe(stage, victim, owners[:2], propose_call(loosening), change_words(loosening, _plain))
    enact = Action(contract=VAULT_MODULE, to=module, data=enact_call(victim.safe, loosening), title="make the change")
    await stage.refused(ANYBODY, enact, "TooEarly")
    await stage.mine(LOOSENING_SECONDS)
    await stage.act(ANYBODY, enact)
    vault = await read_vault(stage.reader, victim.safe, module)
    stage.expect(vault.operator == address_from_hex(fresh.address), "the new hot key may execute, the stolen one not")
    await unbalance(stage)
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 1), None)
    await stage.act(fresh, execution(stage, victim.safe, plan, "trade on with the new key"))
    stage.expect(await stage.balance(weth, safe) > held, "the Safe has more than when it was robbed")


async def _thief_tries(stage: Stage, victim: Seat) -> None:
    """Everything by which a hot key might move funds or stake."""
    weth = address_from_hex(stage.manifest.contracts["weth"])
    thief = address_from_hex(victim.hot_key.address)
    number, _ = await stage.head()
    plan = selling_weth(stage, BlockNumber(number + 1), None)
    losing = execution(stage, victim.safe, plan, "lose the Safe's WETH in a bad trade")
    await stage.refused(victim.hot_key, losing, "ProfitBelowMinimum")
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    direct = encode_call(
        "execTransactionFromModule(address,uint256,bytes,uint8)",
        "0x" + weth.hex(), 0, transfer_call(thief, DRAWN), 0,
    )  # fmt: skip
    call = Action(contract="Safe", to=victim.safe, data=direct, title="act for the Safe as if it were the module")
    await stage.refused(victim.hot_key, call, "Error")
    loosen = Change(kind=ChangeKind.BID_CAP, value=10**20)
    await stage.refused(victim.hot_key, _tighten(stage, victim, loosen), "NotTighter")
    data = request_unstake_call(TokenAmount(1))
    unstake = Action(contract="NodeStaking", to=stage.contracts.staking, data=data, title="take the stake")
    await stage.refused(victim.hot_key, unstake, "InsufficientStake")
    record = await stage.reader.ask(operator_query(stage.contracts, victim.account))
    stage.expect(record.active > 0 and module != weth, "the stake is where it was")


def _tighten(stage: Stage, victim: Seat, change: Change) -> Action:
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    data = tighten_call(victim.safe, change)
    return Action(contract=VAULT_MODULE, to=module, data=data, title=change_words(change, _plain))


async def _by_the_safe(stage: Stage, victim: Seat, owners: list[Account], data: bytes, words: str) -> None:
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    stands = await read_safe(stage.reader, victim.safe, module)
    transaction = SafeTransaction(module, data, stands.nonce)
    plan = SafePlan(chain_id=stage.domain.chain_id, safe=victim.safe, module=module, transactions=(transaction,))
    for owner in owners:
        plan = plan.signed(owner.key)
    (call,) = plan.executions(stands.owners, stands.threshold)
    title = f"the Safe, by {' and '.join(owner.name for owner in owners)}, proposes: {words}"
    await stage.act(ANYBODY, Action(contract=VAULT_MODULE, to=victim.safe, data=call, title=title))


async def _fund(stage: Stage, address: str) -> None:
    gift = Action(contract="", to=address_from_hex(address), data=b"", title="give it ether for gas", value=Wei(10**18))
    await stage.act(ANYBODY, gift)


async def _ether(stage: Stage, address: str) -> int:
    return int(await stage.rpc.call("eth_getBalance", address, "latest"), 16)


def _plain(token: str, amount: int) -> str:
    return f"{amount} of {token}"
