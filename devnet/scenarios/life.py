"""life: five operators join, stake, hand over orders, earn over three epochs, claim, leave, and are paid out."""

from __future__ import annotations

from typing import Final

from devnet.scenarios.cast import ANYBODY, Seat, give, join, newcomers, next_epoch
from devnet.scenarios.stage import Stage
from devnet.scenarios.trade import execute_order, order_for_next_block, unbalance
from governance.actions import claim_stream, complete_unstake, request_unstake, roll_stream
from governance.amounts import HFT, Unit
from governance.network import operator_query
from governance.policy import DAY, UNBONDING_SECONDS
from governance.standing import read_head, read_rewards
from protocol.ethereum.keccak import keccak256
from protocol.units import StakeUnits, TokenAmount

EPOCHS: Final = 3
_WETH: Final = Unit("WETH", 18)
_EXECUTED: Final = "0x" + keccak256(b"Executed(bytes32,bytes32,address,address,address,uint256,uint256,uint256)").hex()


async def play(stage: Stage) -> None:
    """Play the life of five operators that were nobody before."""
    seats = newcomers(stage)
    stakes = {seat.name: TokenAmount(stage.random.randrange(20_000, 90_000) * 10**18) for seat in seats}
    stage.tell("act 1: five operators join and stake")
    for seat in seats:
        await give(stage, seat.owner, stakes[seat.name])
        await join(stage, seat, stakes[seat.name])

    fees = 0
    for number in range(EPOCHS):
        stage.tell(f"act {number + 2}: an epoch in which they hand orders to who leads")
        fees += await _epoch(stage, seats)
        await stage.mine(DAY)
        await stage.act(ANYBODY, roll_stream(stage.contracts))

    stage.tell(f"act {EPOCHS + 2}: they claim what the fees, {_WETH.shown(fees)}, gave to their stake")
    pool, promised = await _stream(stage)
    stage.expect(pool + promised == fees, "what the stream has and has promised is what the fees were")
    claimed = 0
    for seat in seats:
        claimed += await _claim(stage, seat)
    pool, promised = await _stream(stage)
    stage.expect(pool + promised + claimed == fees, "what was claimed and what is left is what the fees were")

    stage.tell(f"act {EPOCHS + 3}: they leave, wait 21 days, and are paid out")
    for seat in seats:
        record = await stage.reader.ask(operator_query(stage.contracts, seat.account))
        await stage.mine_to(record.locked_through)
        await stage.act(seat.owner, request_unstake(stage.contracts, TokenAmount(record.active)))
    early = seats[0]
    await stage.refused(early.owner, complete_unstake(stage.contracts, StakeUnits(stakes[early.name])), "TooEarly")
    await stage.mine(UNBONDING_SECONDS)
    for seat in seats:
        await stage.act(seat.owner, complete_unstake(stage.contracts, StakeUnits(stakes[seat.name])))
        held = await stage.reader.number(stage.contracts.token, "balanceOf(address)", seat.owner.address)
        stage.expect(held == stakes[seat.name], f"{seat.name} has its {HFT.shown(held)} again")


async def _epoch(stage: Stage, seats: list[Seat]) -> int:
    """Check in, begin an epoch, execute one order in it; return the fee."""
    table = await next_epoch(stage, seats)
    await unbalance(stage)
    leader, plan = await order_for_next_block(stage, table, seats)
    before = await stage.balance(stage.manifest.contracts["weth"], "0x" + leader.safe.hex())
    receipt = await stage.act(leader.hot_key, execute_order(stage, leader, plan))
    (told,) = (log for log in receipt["logs"] if log["topics"][0] == _EXECUTED)
    words = bytes.fromhex(told["data"][2:])
    net, paid, fee = (int.from_bytes(words[32 * place : 32 * place + 32], "big") for place in (2, 3, 4))
    kept = await stage.balance(stage.manifest.contracts["weth"], "0x" + leader.safe.hex()) - before
    stage.expect(
        net == paid + fee + kept,
        f"of {_WETH.shown(net)} the finder got {_WETH.shown(paid)}, the stream {_WETH.shown(fee)}, the leader the rest",
    )
    return fee


async def _claim(stage: Stage, seat: Seat) -> int:
    head = await read_head(stage.reader)
    rewards = await read_rewards(stage.reader, seat.account, head)
    weth = stage.manifest.contracts["weth"]
    before = await stage.balance(weth, seat.owner.address)
    words = _WETH.shown(rewards.from_stream)
    await stage.act(seat.owner, claim_stream(stage.contracts, seat.account, len(rewards.shares), words))
    got = await stage.balance(weth, seat.owner.address) - before
    stage.expect(got == rewards.from_stream > 0, f"{seat.name} got what was told, {words}")
    return got


async def _stream(stage: Stage) -> tuple[int, int]:
    stream = stage.contracts.stream
    return await stage.reader.number(stream, "pool()"), await stage.reader.number(stream, "promised()")
