// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbExecutor} from "./IArbExecutor.sol";

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
    Executor
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

/// @title Lets a hot key trade with a Safe's funds without being able to take them
/// @notice A Safe enables this module, then opens its vault: from then on the hot key may execute plans, within what the
/// Safe's owners have pinned. All funds stay in the Safe, one Safe per strategy; this contract holds nothing and has no owner.
///
/// P14  An execution that draws x of a token returns at least x of the same token, by an explicit pull and by the
///      Safe's balance, or everything reverts. What comes into the Safe by itself never counts for the pull.
/// P16  The Safe's owners, threshold, modules, guard and fallback handler never change: the one thing this module ever
///      makes a Safe do is to transfer a pinned token to its pinned executor, by CALL.
/// P19  Bids (priority fee by the transaction's gas limit, and the payment to the builder) are at most the vault's cap.
/// P20  A pause stops executions and nothing else: the owners move funds through the Safe, which asks nobody.
///
/// Tightening holds at once and is open to each owner, the hot key and the Safe. Loosening takes the Safe (its
/// threshold) and 48 hours, and is void if anything was tightened meanwhile. The first opening is immediate: before it
/// there is nothing to protect.
interface IVaultModule {
    /// @notice The caller is not the vault's hot key.
    error NotOperator();
    /// @notice The caller is neither an owner of the Safe nor the hot key nor the Safe itself.
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
    /// @notice A vault is opened once; after that it is changed.
    error AlreadyOpened();
    /// @notice The Safe has not opened its vault.
    error NotOpened();
    /// @notice The caller is no Safe that has this module enabled.
    error ModuleNotEnabled();
    /// @notice The change has an operand that its kind does not use, or one that is out of bounds.
    error MalformedChange();
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

    /// @notice Open the caller's vault. The caller is a Safe that has this module enabled.
    /// @param operator The hot key.
    /// @param executor Runs the plans.
    /// @param bidCap Wei; below 2^88.
    /// @param limits The tokens to pin.
    function open(address operator, IArbExecutor executor, uint256 bidCap, TokenLimit[] calldata limits) external;

    /// @notice Make a change that tightens, now. Voids all that is proposed.
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

    /// @notice A vault's settings.
    function vaultOf(address safe) external view returns (Vault memory);

    /// @notice Whether a token is pinned, and the most that one execution may draw of it.
    function limitOf(address safe, address token) external view returns (bool pinned, uint128 maxDraw);

    /// @notice When a proposed change can be made (Unix seconds); 0 if it is not proposed or void.
    function dueAt(address safe, Change calldata change) external view returns (uint256);

    /// @notice Seconds between the proposal of a change and the first moment in which it can be made.
    function LOOSENING_DELAY() external view returns (uint256);

    /// @notice Seconds for which a due change can be made.
    function ENACTMENT_WINDOW() external view returns (uint256);
}
