// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbExecutor} from "./IArbExecutor.sol";
import {IConcentratedOracle} from "./external/IConcentratedOracle.sol";
import {IPriceFeed} from "./external/IPriceFeed.sol";

/// @notice What can be changed about a vault, and what `subject` and `value` mean for it.
enum ChangeKind {
    /// value 1: nothing is executed any more; value 0: it is again.
    Pause,
    /// value: the most that one execution may cost in bids, wei.
    BidCap,
    /// subject: a token to be pinned; value: the most that one execution may draw of it, 0 for borrowed funds only.
    Token,
    /// subject: a token that is not to be used any more.
    Unpin,
    /// subject: the hot key; 0 for none.
    Operator,
    /// subject: the executor; 0 for none.
    Executor,
    /// subject: the token in which inventory is valued; 0 for none: inventory mode is off, and its limits are 0. Another
    /// one is named only while there is none.
    Unit,
    /// value: the most that one trade may lose of what it sells, basis points.
    LossBand,
    /// value: the most by which a feed and a pool's mean may differ, basis points of the lower one.
    Agreement,
    /// value: the most that all trades may lose, in the unit; as much leaks out in a day.
    MaxLoss,
    /// value: the most that all trades may sell, in the unit; as much leaks out in a day.
    MaxTurnover,
    /// subject: a token; value: the address of its price feed, and above its 160 bits the feed's greatest age in seconds.
    /// 0 for none.
    Feed,
    /// subject: a token; value: the address of a Uniswap V3 pool of it and the unit. 0 for none.
    Pool,
    /// subject: a token; value: what a trade that sells it must leave in the Safe.
    HeldAtLeast,
    /// subject: a token; value: what the Safe may hold of it after a trade that buys it.
    HeldAtMost,
    /// subject: an account on an exchange; value: a token's address, and above its 160 bits the most of it that may be sent
    /// there in a day (of UTC). 0 of it for none.
    Deposit
}

/// @notice One change to a vault. What its kind does not use is 0.
struct Change {
    ChangeKind kind;
    address subject;
    uint256 value;
}

/// @notice A pinned token and the most that one execution may draw of it, in its smallest unit.
struct TokenLimit {
    address token;
    uint128 maxDraw;
}

/// @notice A vault's settings.
/// @param operator The hot key: alone may execute.
/// @param bidCap The most that one execution may cost in bids, wei.
/// @param paused Whether executions are refused.
/// @param executor Runs the plans.
/// @param opened Whether the Safe has ever opened its vault.
/// @param generation Counts the tightenings: what was proposed before one is void.
struct Vault {
    address operator;
    uint88 bidCap;
    bool paused;
    IArbExecutor executor;
    bool opened;
    uint64 generation;
}

/// @notice A vault's limits in inventory mode. See `ChangeKind`.
struct Inventory {
    address unit;
    uint8 decimals;
    uint16 lossBand;
    uint16 agreement;
    uint128 maxLoss;
    uint128 maxTurnover;
}

/// @notice What a vault knows of a token in inventory mode. See `ChangeKind`.
/// @param decimals Those of the feed's answers and of the token together.
struct Market {
    IPriceFeed feed;
    uint32 maxAge;
    uint8 decimals;
    IConcentratedOracle pool;
    uint128 heldAtLeast;
    uint128 heldAtMost;
}

/// @title Lets a hot key trade with a Safe's funds without being able to take them
/// @notice A Safe enables this module, then opens its vault: from then on the hot key may execute plans, within what the
/// Safe's owners have pinned. All funds stay in the Safe, one Safe per strategy; this contract holds nothing and has no owner.
///
/// P14  An execution that draws x of a token returns at least x of the same token, by an explicit pull and by the
///      Safe's balance, or everything reverts. What comes into the Safe by itself never counts for the pull.
/// P15  What trades of inventory lose, counted at the worse of two prices that agree, is at most the band of each and
///      what fits into a bucket of all; gains never empty it.
/// P16  The Safe's owners, threshold, modules, guard and fallback handler never change: all that this module ever makes a
///      Safe do is to transfer a pinned token, by CALL, to where its pinned executor takes it (the executor itself, or the
///      first pair of the plan), or to a pinned account on an exchange.
/// P19  Bids (priority fee by the transaction's gas limit, as far as a contract sees it, and the payment to the builder) are
///      at most the vault's cap. Not seen: gas of access lists and authorisations, and the few thousand spent before the look.
/// P20  A pause stops executions and nothing else: the owners move funds through the Safe, which asks nobody.
///
/// Tightening holds at once and is open to each owner, the hot key and the Safe. Loosening takes the Safe (its
/// threshold) and 48 hours, and is void if anything was tightened meanwhile. Governance adds nothing: a token or an executor
/// that it has removed (`NetworkParameters`) is not pinned again, and anybody may take it out of a vault. The first opening is immediate: before it
/// there is nothing to protect.
///
/// **Inventory mode** is off until a unit is set, by a loosening. A trade sells x of one pinned token and buys
/// y of another. Each of them other than the unit has a feed, which must be fresh, and a Uniswap V3 pool, whose
/// mean over 30 minutes must agree with the feed; of the two prices the worse counts: the higher for what is sold, the
/// lower for what is bought. So a price of which somebody lies can refuse a trade, never excuse one.
/// If what counts is off a token's true price by at most a share e, what leaves in a burst is at most `MaxLoss`, plus a
/// part of `MaxTurnover`, plus gas: e / (1 - e) where the unit is sold or bought, 2e / (1 - e^2) between two other tokens,
/// of which one may count too little and the other too much. Each further day adds as much again. What is deposited on an
/// exchange is outside of all this.
interface IVaultModule {
    /// @notice The caller is not the vault's hot key.
    error NotOperator();
    /// @notice The caller is neither an owner of the Safe nor the hot key nor the Safe itself, and what the change takes out
    /// is not removed by governance.
    error NotGuardian();
    /// @notice The vault is paused.
    error VaultPaused();
    /// @notice The vault has no executor.
    error NoExecutor();
    /// @notice Executions of one Safe do not nest.
    error VaultBusy();
    /// @notice The owners have not pinned this token.
    error TokenNotPinned(address token);
    /// @notice More is to be drawn than the owners allow.
    error DrawAboveMaximum(uint256 amount, uint256 maxDraw);
    /// @notice The Safe did not make the transfer: the module is not enabled, or there is not enough.
    error DrawRefused();
    /// @notice P14: less is owed, or has arrived, than was drawn.
    error PrincipalMissing(uint256 returned, uint256 drawn);
    /// @notice P19: the priority fee alone, at the transaction's gas limit, exceeds the vault's bid cap.
    error PriorityFeeAboveCap(uint256 fee, uint256 bidCap);
    /// @notice Inventory mode is off: no unit is set.
    error InventoryOff();
    /// @notice A trade sells something, and buys something else.
    error NothingToTrade();
    /// @notice A deposit sends something.
    error NothingToDeposit();
    /// @notice The owners have not named a price feed for this token.
    error NoFeed(address token);
    /// @notice The feed's answer is not above zero, or is absurd, or is dated into the future.
    error FeedUnusable(address token, int256 answer, uint256 updatedAt);
    /// @notice The feed has not answered for longer than the owners allow.
    error FeedStale(address token, uint256 updatedAt);
    /// @notice The owners have not named a pool for this token.
    error NoPool(address token);
    /// @notice The pool that was named is not one of this token and the unit.
    error WrongPool(address token, address pool);
    /// @notice The feed and the pool's mean differ by more than the owners allow (prices times 2^96).
    error PricesDisagree(address token, uint256 byFeed, uint256 byPool);
    /// @notice P15: less of what was bought, or of what was not sold, is in the Safe than must be.
    error TradeIncomplete(address token, uint256 held, uint256 required);
    /// @notice P15: the trade loses more than the band, in the unit.
    error LossAboveBand(uint256 loss, uint256 band);
    /// @notice P15: with this trade all losses come to more than the bucket holds, in the unit.
    error LossAboveMaximum(uint256 losses, uint256 maximum);
    /// @notice P15: with this trade the turnover comes to more than the bucket holds, in the unit.
    error TurnoverAboveMaximum(uint256 turnover, uint256 maximum);
    /// @notice The trade would leave less of this token than the owners want to be held.
    error HeldTooLittle(address token, uint256 held, uint256 atLeast);
    /// @notice The trade would leave more of this token than the owners want to be held.
    error HeldTooMuch(address token, uint256 held, uint256 atMost);
    /// @notice The day's deposits of this token with this account would come to more than the owners allow.
    error DepositAboveCap(uint256 amount, uint256 cap);
    /// @notice The token did not move what was to be deposited: what the Safe holds, and held before.
    error DepositIncomplete(uint256 held, uint256 before);
    /// @notice A vault is opened once; after that it is changed.
    error AlreadyOpened();
    /// @notice The Safe has not opened its vault.
    error NotOpened();
    /// @notice The caller is no Safe that has this module enabled.
    error ModuleNotEnabled();
    /// @notice The change has an operand that its kind does not use, or one that is out of bounds.
    error MalformedChange();
    /// @notice Governance has taken this token or executor out of use, for ever.
    error OutOfUse(address subject);
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice The change would not tighten: it takes the Safe and 48 hours.
    error NotTighter();
    /// @notice The change was not proposed, or is void by a tightening since, or has been made.
    error NotProposed();
    /// @notice The change is not due yet.
    error TooEarly(uint256 dueAt);
    /// @notice The change was due too long ago: propose it again.
    error TooLate(uint256 expiredAt);

    /// @notice A Safe has opened its vault; the settings follow as `Changed`.
    event Opened(address indexed safe);
    /// @notice The Safe wants a change, which can be made from `dueAt` (Unix seconds) on.
    event Proposed(address indexed safe, ChangeKind indexed kind, address subject, uint256 value, uint256 dueAt);
    /// @notice A change was made, by `by`.
    event Changed(address indexed safe, ChangeKind indexed kind, address subject, uint256 value, address by);
    /// @notice An execution drew `drawn` and returned it with `profit`, both in the token's smallest unit.
    event Executed(address indexed safe, address indexed token, uint256 drawn, uint256 profit);

    /// @notice Inventory was traded; `loss` and `turnover` in the unit, at the worse prices.
    event Traded(
        address indexed safe,
        address indexed sold,
        address indexed bought,
        uint256 amountSold,
        uint256 amountBought,
        uint256 loss,
        uint256 turnover
    );
    /// @notice An amount was sent to an account on an exchange.
    event Deposited(address indexed safe, address indexed exchange, address indexed token, uint256 amount);

    /// @notice Open the caller's vault. The caller is a Safe that has this module enabled.
    /// @param operator The hot key.
    /// @param executor Runs the plans.
    /// @param bidCap Wei; below 2^88.
    /// @param limits The tokens to pin.
    function open(address operator, IArbExecutor executor, uint256 bidCap, TokenLimit[] calldata limits) external;

    /// @notice Make a change that tightens, now. Voids all that is proposed. Anybody may unpin a token, or take away the
    /// executor, that governance has taken out of use.
    function tighten(address safe, Change calldata change) external;

    /// @notice Propose a change to the caller's own vault, to be made in 48 hours.
    function propose(Change calldata change) external;

    /// @notice Make a proposed change that is due. Anybody may: the Safe has decided.
    function enact(address safe, Change calldata change) external;

    /// @notice Run a plan for a Safe; only its hot key may. The profit ends in the Safe.
    /// @param token A pinned token, with which the plan begins and ends.
    /// @param drawn How much of it to take out of the Safe, at most its maximum; 0 for borrowed funds only.
    /// @param plan See `IArbExecutor`.
    /// @return profit In the token's smallest unit.
    function execute(address safe, address token, uint256 drawn, bytes calldata plan) external returns (uint256 profit);

    /// @notice Sell inventory for other inventory; only the hot key may, and only within the owners' limits.
    /// @param sold A pinned token.
    /// @param amount How much of it, at most its `maxDraw`.
    /// @param bought Another pinned token.
    /// @param plan See `IArbExecutor.trade`.
    /// @return received In the smallest unit of `bought`.
    function trade(address safe, address sold, uint256 amount, address bought, bytes calldata plan)
        external
        returns (uint256 received);

    /// @notice Send a pinned token to a pinned account on an exchange; only the hot key may.
    function deposit(address safe, address token, address exchange, uint256 amount) external;

    /// @notice A vault's settings.
    function vaultOf(address safe) external view returns (Vault memory);

    /// @notice Whether a token is pinned, and the most that one execution may draw of it.
    function limitOf(address safe, address token) external view returns (bool pinned, uint128 maxDraw);

    /// @notice A vault's limits in inventory mode; all zero while it is off.
    function inventoryOf(address safe) external view returns (Inventory memory);

    /// @notice What a vault knows of a token in inventory mode.
    function marketOf(address safe, address token) external view returns (Market memory);

    /// @notice What is in a vault's buckets now, in its unit.
    function levelsOf(address safe) external view returns (uint256 losses, uint256 turnover);

    /// @notice The most of a token that may be sent to an account in a day, and what of it was sent today.
    function depositOf(address safe, address exchange, address token)
        external
        view
        returns (uint96 cap, uint96 sentToday);

    /// @notice When a proposed change can be made (Unix seconds); 0 if it is not proposed or void.
    function dueAt(address safe, Change calldata change) external view returns (uint256);

    /// @notice Seconds between the proposal of a change and the first moment in which it can be made.
    function LOOSENING_DELAY() external view returns (uint256);

    /// @notice Seconds for which a due change can be made.
    function ENACTMENT_WINDOW() external view returns (uint256);
}
