"""Every reason for which an opportunity is dropped or an execution fails. `docs/reference/reasons.md` is generated
from here (`scripts/gen-docs`), and the ledger stores the values: a value, once released, keeps its meaning.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where in the story a reason arises."""

    DETECTION = "detection"
    RISK = "risk gate"
    SIMULATION = "simulation"
    SUBMISSION = "submission"
    OUTCOME = "outcome"


class Reason(StrEnum):
    """Why an opportunity went no further, with its stage, what it means and what an operator can do about it."""

    stage: Stage
    meaning: str
    advice: str

    def __new__(cls, value: str, stage: Stage, meaning: str, advice: str) -> Reason:
        """Make a member whose value is the first of the four."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.stage, member.meaning, member.advice = stage, meaning, advice
        return member

    NOT_A_SWAP = (
        "not_a_swap",
        Stage.DETECTION,
        "The pending transaction is no swap that we can read.",
        "None: most transactions are not.",
    )
    POOL_UNKNOWN = (
        "pool_unknown",
        Stage.DETECTION,
        "The pending swap goes through a pool that we do not follow, have not read yet, or cannot compute any further.",
        "Add the pool's factory to the configuration if many swaps go there.",
    )
    UNREAD_UNLIKELY = (
        "unread_unlikely",
        Stage.DETECTION,
        "No decoder reads the pending transaction, and it or its like is not known to touch any followed pool.",
        "None.",
    )
    OVER_SIMULATION_BUDGET = (
        "over_simulation_budget",
        Stage.DETECTION,
        "More pending transactions that no decoder reads than are simulated in a second.",
        "Raise pending_simulations_per_second if the chain's node and the machine can do more.",
    )
    TOUCHES_NO_POOL = (
        "touches_no_pool",
        Stage.DETECTION,
        "The pending transaction was simulated, and changes no followed pool.",
        "None.",
    )
    VICTIM_WOULD_REVERT = (
        "victim_would_revert",
        Stage.DETECTION,
        "The pending transaction would revert on the state it would meet, by its own limits or when simulated.",
        "None.",
    )
    VICTIM_FEE_TOO_LOW = (
        "victim_fee_too_low",
        Stage.DETECTION,
        "The pending transaction does not pay the next block's base fee.",
        "None.",
    )
    VICTIM_NONCE_GAP = (
        "victim_nonce_gap",
        Stage.DETECTION,
        "The pending transaction waits for an earlier one of its sender that we have not seen.",
        "Listen to more nodes if this is frequent.",
    )
    VICTIM_GONE = (
        "victim_gone",
        Stage.DETECTION,
        "The pending transaction was included or replaced before we were done.",
        "None.",
    )
    PENDING_OVERFLOW = (
        "pending_overflow",
        Stage.DETECTION,
        "More pending swaps than the overlay holds, or more answers of feeds than are kept; the oldest left.",
        "Raise max_pending_swaps, at the cost of memory; of answers 256 are kept.",
    )
    OVER_LOOKS_BUDGET = (
        "over_looks_budget",
        Stage.DETECTION,
        "More gas in pending swaps than is looked at anew with a block; those of the most are left out for this one.",
        "None.",
    )
    ANSWER_OF_STRANGER = (
        "answer_of_stranger",
        Stage.DETECTION,
        "The pending answer to a price feed is not of the feed's only oracle, or who its oracles are is not known.",
        "None: anybody can send one.",
    )
    OVER_ANSWER_BUDGET = (
        "over_answer_budget",
        Stage.DETECTION,
        "More pending answers of price feeds than are weighed for one block.",
        "None if rare: feeds answer now and then.",
    )
    ABOVE_VALUE_LIMIT = (
        "above_value_limit",
        Stage.SUBMISSION,
        "We lack something for this find, and it is worth more than is handed to the leader of its block at once.",
        "None: the limit follows from how the leader has dealt with what it was handed.",
    )
    ORDER_TOO_LARGE = (
        "order_too_large",
        Stage.SUBMISSION,
        "We lack something for this find, and what is pending before it, or its swaps, are more than an order holds.",
        "None: it is executed here if that is possible.",
    )
    NOT_PROFITABLE = (
        "not_profitable",
        Stage.DETECTION,
        "Exact integers showed no profit above gas and flash fee where the estimate had seen one.",
        "None.",
    )
    CONFLICTS_WITH_BETTER = (
        "conflicts_with_better",
        Stage.DETECTION,
        "Another find over the same pool is worth more, or is on its way already.",
        "None.",
    )
    NO_FLASH_LENDER = (
        "no_flash_lender",
        Stage.DETECTION,
        "No lender of ours has any of the token or can lend it on this route, and no other operator took the find.",
        "Configure another lender for the token; see what the Safe pins and lets be drawn: `hftnode vault limits`.",
    )
    VAULT_FORBIDS = (
        "vault_forbids",
        Stage.SUBMISSION,
        "No Safe whose hot key is free pins the profit token, or lets so much of it be drawn.",
        "Have the Safes' owners pin the token or raise its limit, if they want to: `hftnode vault limits`.",
    )
    CYCLE_REFUSED = (
        "cycle_refused",
        Stage.DETECTION,
        "A simulation refused this cycle, behind nothing; it is left alone for some blocks, for longer each time.",
        "See the alerts: a token or pool behaves unlike its maths.",
    )
    KILL_SWITCH = (
        "kill_switch",
        Stage.RISK,
        "The operator's kill switch is on, or what happens cannot be written to disk.",
        "`hftnode resume` turns the operator's off, when the cause is found.",
    )
    BREAKER_OPEN = (
        "breaker_open",
        Stage.RISK,
        "Too many of the last executions reverted; the breaker is open until its time has passed.",
        "Read the reasons of the failures before raising the limit.",
    )
    HEAD_STALE = (
        "head_stale",
        Stage.RISK,
        "The last block is too old, so that the state may be too.",
        "Check the RPC connections.",
    )
    OPPORTUNITY_STALE = (
        "opportunity_stale",
        Stage.RISK,
        "The opportunity's target block is not the next one any more.",
        "None if rare; otherwise the machine is too slow.",
    )
    POOL_QUARANTINED = (
        "pool_quarantined",
        Stage.RISK,
        "A pool on the route disagreed with the chain and is quarantined.",
        "See the audit's alert; a resync ends the quarantine.",
    )
    POOL_SUSPENDED = (
        "pool_suspended",
        Stage.RISK,
        "Simulations refused what goes through a pool on the route; it is out for some blocks.",
        "See the alert.",
    )
    TAKEN_OUT_OF_USE = (
        "taken_out_of_use",
        Stage.RISK,
        "A pool, token or venue on the route is out of use: by governance, or by your policy while an alert stands.",
        "`hftnode gov list --all` shows the proposal, `hftnode alerts` the alert.",
    )
    TOKEN_REFUSED = (
        "token_refused",
        Stage.RISK,
        "A token on the route did not pass the token screen.",
        "None: it takes a fee, rebases, or may refuse transfers.",
    )
    BELOW_MINIMUM_PROFIT = (
        "below_minimum_profit",
        Stage.RISK,
        "Profit after gas, flash fee and bid is below the configured minimum.",
        "Lower the minimum, if the trouble is worth it.",
    )
    GAS_SHARE_TOO_HIGH = (
        "gas_share_too_high",
        Stage.RISK,
        "Gas would take more than its allowed share of the profit.",
        "Raise max_gas_share, knowing that a revert costs it all.",
    )
    BUNDLE_LIMIT = (
        "bundle_limit",
        Stage.RISK,
        "The amount is above the limit for one bundle.",
        "Raise max_input of the token.",
    )
    DAILY_LIMIT = (
        "daily_limit",
        Stage.RISK,
        "Gas and bids of the day would pass the daily limit.",
        "Raise max_daily_spend, or wait for the next day (UTC).",
    )
    TOKEN_LIMIT = (
        "token_limit",
        Stage.RISK,
        "The day's turnover in this token would pass its limit.",
        "Raise max_daily_turnover of the token.",
    )
    BLOCK_LIMIT = (
        "block_limit",
        Stage.RISK,
        "As many executions as allowed are on their way to this block already.",
        "Raise max_executions_per_block.",
    )
    BID_ABOVE_CAP = (
        "bid_above_cap",
        Stage.RISK,
        "The vault's cap cannot carry any bid at all.",
        "Raise the vault's cap: that takes its owners.",
    )
    TREASURY_EMPTY = (
        "treasury_empty",
        Stage.RISK,
        "No hot key has the ether for the gas of this execution, or its nonce is not known.",
        "Refill the hot key.",
    )
    KEY_CHECKS_IN = (
        "key_checks_in",
        Stage.RISK,
        "The last blocks before check-in closes are left to the registered hot key's check-in; no other has room.",
        "None; a second vault with a key of its own goes on meanwhile.",
    )
    SIMULATION_REVERTED = (
        "simulation_reverted",
        Stage.SIMULATION,
        "The last check, a simulation of the whole bundle, reverted.",
        "None if rare; otherwise a token or pool behaves unlike its maths.",
    )
    SIMULATION_DIFFERS = (
        "simulation_differs",
        Stage.SIMULATION,
        "The simulation's profit is below what was predicted.",
        "See the audit: a pool's state may be wrong.",
    )
    SIMULATION_TOO_DEAR = (
        "simulation_too_dear",
        Stage.SIMULATION,
        "Of the simulation's profit, the gas that it used leaves less than the minimum.",
        "None if rare; otherwise a token or pool uses more gas than its like.",
    )
    SIMULATION_UNAVAILABLE = (
        "simulation_unavailable",
        Stage.SIMULATION,
        "The simulation did not answer in time.",
        "Check the RPC, which feeds the simulator's cache.",
    )
    OUTBOX_FULL = (
        "outbox_full",
        Stage.SUBMISSION,
        "More plans wait for their simulation or signature than the bound allows.",
        "The machine is too slow for this market.",
    )
    SIGNING_REFUSED = (
        "signing_refused",
        Stage.SUBMISSION,
        "The signer refused: another chain, another contract, or more wei than it signs for.",
        "See the log: its limits and the plan differ.",
    )
    KEY_REPLACED = (
        "key_replaced",
        Stage.SUBMISSION,
        "The vault executes for another hot key of ours from this block on.",
        "None: a hot key was rotated.",
    )
    RELAY_REFUSED = (
        "relay_refused",
        Stage.SUBMISSION,
        "Every relay refused the bundle.",
        "Read the relays' answers in the log.",
    )
    RELAY_UNREACHABLE = (
        "relay_unreachable",
        Stage.SUBMISSION,
        "No relay answered in time.",
        "Check the relays and the network.",
    )
    ENGINE_ENDED = (
        "engine_ended",
        Stage.SUBMISSION,
        "The engine ended before the find was signed; told when it runs again.",
        "None after a planned restart; otherwise look into why it ended.",
    )
    LATE = (
        "late",
        Stage.SUBMISSION,
        "The bundle left after its target block had arrived.",
        "None if rare; otherwise the machine or its link is too slow.",
    )
    OUTBID = (
        "outbid",
        Stage.OUTCOME,
        "Somebody else took it: the route's pools moved in the target block before or without us.",
        "The bid policy learns from this.",
    )
    TAKEN_BY_OPERATOR = (
        "taken_by_operator",
        Stage.OUTCOME,
        "Another operator of the network took it, through the same vault module.",
        "None: bids learn nothing from it, because operators who outbid each other hand their profit to builders.",
    )
    VICTIM_NOT_INCLUDED = (
        "victim_not_included",
        Stage.OUTCOME,
        "The transaction that we stood behind was not in the target block, and so neither were we.",
        "None.",
    )
    BUILDER_LOST = (
        "builder_lost",
        Stage.OUTCOME,
        "Nobody touched the route, so that the block's builder did not use our bundle or did not have it.",
        "Send to more relays.",
    )
    REVERTED = (
        "reverted",
        Stage.OUTCOME,
        "The transaction was included and reverted: only gas was lost.",
        "None if rare: see the simulation.",
    )
    REORGED = (
        "reorged",
        Stage.OUTCOME,
        "The block that had it was replaced by another.",
        "None.",
    )
    SHADOW = (
        "shadow",
        Stage.OUTCOME,
        "Shadow mode: nothing is signed; this is what would have been sent.",
        "None.",
    )
