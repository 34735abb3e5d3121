// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One pause of everything, from `start` on, before `end`; Unix seconds.
struct Pause {
    uint48 start;
    uint48 end;
}

/// @title Stops executions when enough stake says so, and never exits
/// @notice Operators support a pause by a transaction, of the account or the hot key. Support is counted in rounds of a
/// day, by the stake as it was just before the round began; an operator's stake counts once in a round, and for subjects
/// (all of them together) once in 24 hours.
///
/// - One subject (a pool, a token, a venue): a third of the active stake pauses it for 300 blocks.
/// - Everything: two thirds, for ten days or what is left of them; or the guardian, for 72 hours, once in 30 days.
/// - More than half of the stake, or governance, ends a pause of everything early; governance ends one of a subject.
///
/// A running pause is not prolonged, whoever began it. Who reads this contract: the ledger, before a network execution. Own
/// executions, registry, stake, court, rewards, governance and the vaults' owners do not.
///
/// P20  Withdrawals, exits and owners' unwinds never pause.
/// P21  Everything is paused for at most ten days in any 30.
interface IEmergencyBrake {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice A subject of zero.
    error ZeroSubject();
    /// @notice The operator's stake is counted in this round already, or for a subject within 24 hours.
    error CountedAlready(uint256 countsAgainAt);
    /// @notice The operator had no active stake when the round began.
    error NoStake();
    /// @notice Everything is paused already.
    error AlreadyPaused();
    /// @notice Nothing that could be released is paused.
    error NotPaused();
    /// @notice P21: ten days of the last 30 were paused.
    error PauseBudgetSpent();
    /// @notice The guardian has used its pause of these 30 days.
    error GuardianMustWait(uint256 until);
    /// @notice The caller is not the guardian.
    error NotGuardian();
    /// @notice The caller is not the Timelock.
    error NotGovernance();

    /// @notice An operator's stake was counted in a round: for pausing a subject, for pausing everything, for a release.
    event Supported(bytes32 indexed round, address indexed operator, uint256 weight, uint256 counted, uint256 total);
    /// @notice A subject is paused through a block.
    event ScopePaused(bytes32 indexed subject, uint256 throughBlock);
    /// @notice A subject's pause was ended by governance.
    event ScopeReleased(bytes32 indexed subject);
    /// @notice Everything is paused before `end` (Unix seconds).
    event Paused(uint256 end, address by);
    /// @notice The pause of everything was ended early.
    event Released(address by);

    /// @notice Support pausing one subject: an address padded on the left, or a pool's id.
    function supportScopePause(bytes32 subject) external;

    /// @notice Support pausing everything.
    function supportPause() external;

    /// @notice Support the release of everything.
    function supportRelease() external;

    /// @notice Pause everything for 72 hours. Only the guardian, once in 30 days.
    function pause() external;

    /// @notice End the pause of everything. Only governance.
    function release() external;

    /// @notice End the pause of a subject. Only governance.
    function releaseScope(bytes32 subject) external;

    /// @notice Whether everything is paused.
    function isPaused() external view returns (bool);

    /// @notice Whether a subject is paused, by itself or with everything.
    function isScopePaused(bytes32 subject) external view returns (bool);

    /// @notice Whether everything is paused, or at least one of these subjects. Two reads while no subject at all is.
    function isAnyPaused(bytes32[] calldata subjects) external view returns (bool);

    /// @notice Seconds of the last 30 days in which everything was paused.
    function usedSeconds() external view returns (uint256);

    /// @notice How many pauses of everything there have been.
    function pauseCount() external view returns (uint256);

    /// @notice A pause of everything, counted from 0.
    function pauseAt(uint256 index) external view returns (Pause memory);

    /// @notice The Safe that may pause on its own.
    function GUARDIAN() external view returns (address);
}
