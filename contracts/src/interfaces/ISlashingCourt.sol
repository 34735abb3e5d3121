// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Two statements of one operator for one slot, with different answers (docs/protocol.md).
/// @param kind 1: double Accept; 2: contradicting attestation.
/// @param operator Whose hot key signed both.
/// @param statementA Its 160 bytes of words, and 65 bytes of signature. A's answer is the smaller one.
struct Evidence {
    uint8 kind;
    address operator;
    bytes statementA;
    bytes signatureA;
    bytes statementB;
    bytes signatureB;
}

/// @notice What became of an offence.
enum OffenceState {
    Unknown,
    InEscrow,
    Settled,
    Cancelled
}

/// @notice One offence.
/// @param operator Who committed it.
/// @param amount What was taken, smallest units.
/// @param reporter Gets the reward.
/// @param settleAt When the escrow may end, Unix seconds.
struct Offence {
    address operator;
    uint96 amount;
    address reporter;
    uint48 settleAt;
    OffenceState state;
}

/// @title Takes stake for what two signatures prove, and for nothing else
/// @notice Anybody reports; the penalty goes into escrow for 12 days, in which governance may cancel it, never start
/// one; then the reporter gets a tenth and the rest is burned. A double Accept costs 1 percent of the stake (active and
/// leaving), a contradicting attestation 5.
///
/// P6  One slash per offence: its id is keccak(operator, kind, slot), with slot = keccak(targetBlock, primaryKey) or
///     keccak(alertId, blockHash).
/// P7  An operator loses at most a tenth in 30 days, of what it has now and has lost in them.
/// P8  No slash without two valid signatures of the operator's hot key that was in force then, by block and by time.
interface ISlashingCourt {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice The registry slashes by another court, or lets stake go before evidence grows too old.
    error WrongRegistry();
    /// @notice There is no offence of this kind.
    error UnknownOffence(uint8 kind);
    /// @notice The statements are not about one slot, or do not answer differently.
    error NoContradiction();
    /// @notice The statements are in the wrong order: one offence has one form.
    error NotInOrder();
    /// @notice A statement is older than evidence may be.
    error EvidenceTooOld(uint256 timestamp);
    /// @notice A statement is of a block or time that has not come yet.
    error FromTheFuture(uint256 blockNumber, uint256 timestamp);
    /// @notice P6: this offence was punished before.
    error AlreadyReported(bytes32 offenceId);
    /// @notice The operator has nothing that could be taken.
    error NothingToSlash();
    /// @notice P7: the operator has lost all that it may lose in 30 days. There may be room again while the
    /// evidence still counts (14 days), or not.
    error LossLimitReached();
    /// @notice The offence is not in escrow.
    error NotInEscrow(bytes32 offenceId);
    /// @notice The escrow has not ended yet.
    error TooEarly(uint256 settleAt);
    /// @notice The caller is not the Timelock.
    error NotGovernance();

    /// @notice A penalty went into escrow.
    event Reported(
        bytes32 indexed offenceId, address indexed operator, uint8 indexed kind, address reporter, uint256 amount
    );
    /// @notice An escrow ended.
    event Settled(bytes32 indexed offenceId, uint256 reward, uint256 burned);
    /// @notice Governance gave a penalty back.
    event Cancelled(bytes32 indexed offenceId);

    /// @notice Show evidence; the caller is the reporter.
    function report(Evidence calldata evidence) external returns (bytes32 offenceId);

    /// @notice End an escrow whose time is over. Anybody may.
    function settle(bytes32 offenceId) external;

    /// @notice Give a penalty back, as active stake. Only governance, only in escrow.
    function cancel(bytes32 offenceId) external;

    /// @notice An offence as it stands.
    function offenceAt(bytes32 offenceId) external view returns (Offence memory);

    /// @notice What an operator has lost in the last 30 days, including what was given back.
    function recentLoss(address operator) external view returns (uint256);

    /// @notice Seconds of escrow.
    function ESCROW() external view returns (uint48);

    /// @notice Seconds after which a statement is no evidence any more.
    function MAX_EVIDENCE_AGE() external view returns (uint256);
}
