// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Attestation} from "../libraries/Statements.sol";

/// @title Pays for alerts that a machine can check
/// @notice An alert settles when operators with enough active stake (`AlertQuorumBps`) have attested the same verdict at
/// one canonical block: anybody hands in the attestation and their signatures, while it is young enough to be evidence
/// (`ISlashingCourt.MAX_EVIDENCE_AGE`). Each attester is credited its active stake, so that splitting it gains nothing; who
/// was left out is added by anybody within the same week. When the week is over each operator's share of its pot is its
/// share of the week's credits. There is no root to trust and nothing to challenge: credits are computed here, from signatures.
///
/// P12  What is claimed from a week's pot never exceeds the pot.
interface IWorkRewards {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice An amount that must not be zero is.
    error ZeroAmount();
    /// @notice Not as many signatures as operators, or none.
    error LengthMismatch();
    /// @notice The operators are not in rising order: none counts twice.
    error NotAscending(address operator);
    /// @notice The attestation's block is not on this chain, or too far back to tell (8,191 blocks).
    error NotCanonical(bytes32 blockHash);
    /// @notice The attestation is older than evidence may be: the court could not punish what it contradicts.
    error EvidenceTooOld(uint256 timestamp);
    /// @notice The attestation is of a time that has not come yet.
    error FromTheFuture(uint256 blockNumber, uint256 timestamp);
    /// @notice The attesters' stake is below the quorum.
    error QuorumMissed(uint256 weight, uint256 needed);
    /// @notice The alert has settled in another week, at another block or with another verdict.
    error SettledOtherwise(bytes32 alertId);
    /// @notice The operator has its credit for this alert.
    error AlreadyCredited(address operator);
    /// @notice The week is not over.
    error WeekNotOver(uint256 week);
    /// @notice The operator has no credit in this week, or has claimed.
    error NothingToClaim();
    /// @notice The week's pot is empty, or is its operators'.
    error NothingToCarry(uint256 week);

    /// @notice Somebody added to a week's pot.
    event Funded(uint256 indexed week, address indexed by, uint256 amount);
    /// @notice An alert settled.
    event Settled(bytes32 indexed alertId, uint8 verdict, uint256 weight);
    /// @notice An operator was credited for an alert.
    event Credited(bytes32 indexed alertId, address indexed operator, uint256 week, uint256 credit);
    /// @notice An operator was paid for a week.
    event Claimed(uint256 indexed week, address indexed operator, uint256 amount);
    /// @notice The pot of a week in which nobody earned anything went to another.
    event Carried(uint256 indexed week, uint256 indexed to, uint256 amount);

    /// @notice Add to the pot of the current week.
    function fund(uint256 amount) external;

    /// @notice Settle an alert, or add attesters to one that settled this week.
    /// @param attestation What all of them signed.
    /// @param operators In rising order.
    /// @param signatures Of their hot keys.
    function settle(Attestation calldata attestation, address[] calldata operators, bytes[] calldata signatures)
        external;

    /// @notice Pay an operator for a week that is over. Anybody may.
    function claim(uint256 week, address operator) external returns (uint256 amount);

    /// @notice Move the pot of a past week without credits to the current one. Anybody may.
    function carry(uint256 week) external;

    /// @notice The current week, counted from 1970.
    function currentWeek() external view returns (uint256);

    /// @notice A week's pot, smallest units.
    function potOf(uint256 week) external view returns (uint256);

    /// @notice All credits of a week.
    function totalCreditOf(uint256 week) external view returns (uint256);

    /// @notice An operator's credit of a week that it has not claimed.
    function creditOf(uint256 week, address operator) external view returns (uint256);
}
