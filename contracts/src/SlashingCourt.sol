// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";
import {INodeStaking, Operator} from "./interfaces/INodeStaking.sol";
import {Evidence, ISlashingCourt, Offence, OffenceState} from "./interfaces/ISlashingCourt.sol";
import {Accept, Attestation, Statements} from "./libraries/Statements.sol";

/// @title SlashingCourt
contract SlashingCourt is ISlashingCourt {
    using SafeCast for uint256;
    using Checkpoints for Checkpoints.Trace208;

    /// @inheritdoc ISlashingCourt
    uint48 public constant ESCROW = 12 days;
    /// @inheritdoc ISlashingCourt
    uint256 public constant MAX_EVIDENCE_AGE = Statements.MAX_AGE;

    uint256 private constant REACTION = 7 days;
    uint48 private constant LOSS_WINDOW = 30 days;
    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant MAX_LOSS_BPS = 1_000;
    uint256 private constant REWARD_BPS = 1_000;
    uint256 private constant DOUBLE_ACCEPT_BPS = 100;
    uint256 private constant CONTRADICTION_BPS = 500;
    uint8 private constant DOUBLE_ACCEPT = 1;
    uint8 private constant CONTRADICTION = 2;

    INodeStaking private immutable STAKING;
    address private immutable GOVERNANCE;

    mapping(bytes32 offenceId => Offence) private _offences;
    /// @dev What an operator has lost since ever, by time.
    mapping(address operator => Checkpoints.Trace208) private _losses;

    constructor(INodeStaking staking, address governance) {
        if (governance == address(0)) revert ZeroAddress();
        if (staking.COURT() != address(this) || staking.UNBONDING() < MAX_EVIDENCE_AGE + REACTION) {
            revert WrongRegistry();
        }
        (STAKING, GOVERNANCE) = (staking, governance);
    }

    /// @inheritdoc ISlashingCourt
    function report(Evidence calldata evidence) external returns (bytes32 offenceId) {
        bytes32 slot;
        uint256 bps;
        if (evidence.kind == DOUBLE_ACCEPT) {
            (slot, bps) = (_doubleAccept(evidence), DOUBLE_ACCEPT_BPS);
        } else if (evidence.kind == CONTRADICTION) {
            (slot, bps) = (_contradiction(evidence), CONTRADICTION_BPS);
        } else {
            revert UnknownOffence(evidence.kind);
        }
        offenceId = keccak256(abi.encode(evidence.operator, evidence.kind, slot));
        if (_offences[offenceId].state != OffenceState.Unknown) revert AlreadyReported(offenceId);
        uint96 amount = _penalty(evidence.operator, bps);
        uint48 settleAt = Time.timestamp() + ESCROW;
        _offences[offenceId] = Offence(evidence.operator, amount, msg.sender, settleAt, OffenceState.InEscrow);
        _losses[evidence.operator].push(Time.timestamp(), _losses[evidence.operator].latest() + amount);
        emit Reported(offenceId, evidence.operator, evidence.kind, msg.sender, amount);
        STAKING.slash(evidence.operator, amount);
    }

    /// @inheritdoc ISlashingCourt
    function settle(bytes32 offenceId) external {
        Offence storage offence = _offences[offenceId];
        if (offence.state != OffenceState.InEscrow) revert NotInEscrow(offenceId);
        if (block.timestamp < offence.settleAt) revert TooEarly(offence.settleAt);
        offence.state = OffenceState.Settled;
        uint256 reward = uint256(offence.amount) * REWARD_BPS / FULL_BPS;
        emit Settled(offenceId, reward, offence.amount - reward);
        STAKING.endEscrow(offence.reporter, reward, offence.amount - reward);
    }

    /// @inheritdoc ISlashingCourt
    function cancel(bytes32 offenceId) external {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        Offence storage offence = _offences[offenceId];
        if (offence.state != OffenceState.InEscrow) revert NotInEscrow(offenceId);
        offence.state = OffenceState.Cancelled;
        emit Cancelled(offenceId);
        STAKING.restore(offence.operator, offence.amount);
    }

    /// @inheritdoc ISlashingCourt
    function offenceAt(bytes32 offenceId) external view returns (Offence memory) {
        return _offences[offenceId];
    }

    /// @inheritdoc ISlashingCourt
    function recentLoss(address operator) public view returns (uint256) {
        Checkpoints.Trace208 storage losses = _losses[operator];
        return losses.latest() - losses.upperLookupRecent(Time.timestamp() - LOSS_WINDOW);
    }

    /// @dev P7: the penalty, or what is left of a tenth of what the operator has and has lost in the last 30 days.
    function _penalty(address operator, uint256 bps) private view returns (uint96) {
        Operator memory offender = STAKING.operatorAt(operator);
        uint256 stake = uint256(offender.active) + offender.leaving;
        uint256 lost = recentLoss(operator);
        uint256 limit = (stake + lost) * MAX_LOSS_BPS / FULL_BPS;
        uint256 penalty = stake * bps / FULL_BPS;
        if (penalty == 0) revert NothingToSlash();
        if (lost >= limit) revert LossLimitReached();
        return (penalty < limit - lost ? penalty : limit - lost).toUint96();
    }

    function _doubleAccept(Evidence calldata evidence) private view returns (bytes32 slot) {
        (Accept memory a, bytes32 hashA) = Statements.readAccept(evidence.statementA);
        (Accept memory b, bytes32 hashB) = Statements.readAccept(evidence.statementB);
        bool isOneSlot = a.targetBlock == b.targetBlock && a.primaryKey == b.primaryKey;
        _requireContradiction(isOneSlot, uint256(a.orderHash), uint256(b.orderHash));
        _requireSigned(evidence.operator, hashA, evidence.signatureA, a.blockNumber, a.timestamp);
        _requireSigned(evidence.operator, hashB, evidence.signatureB, b.blockNumber, b.timestamp);
        return keccak256(abi.encode(a.targetBlock, a.primaryKey));
    }

    function _contradiction(Evidence calldata evidence) private view returns (bytes32 slot) {
        (Attestation memory a, bytes32 hashA) = Statements.readAttestation(evidence.statementA);
        (Attestation memory b, bytes32 hashB) = Statements.readAttestation(evidence.statementB);
        _requireContradiction(a.alertId == b.alertId && a.blockHash == b.blockHash, a.verdict, b.verdict);
        _requireSigned(evidence.operator, hashA, evidence.signatureA, a.blockNumber, a.timestamp);
        _requireSigned(evidence.operator, hashB, evidence.signatureB, b.blockNumber, b.timestamp);
        return keccak256(abi.encode(a.alertId, a.blockHash));
    }

    function _requireContradiction(bool isOneSlot, uint256 answerA, uint256 answerB) private pure {
        if (!isOneSlot || answerA == answerB) revert NoContradiction();
        if (answerA > answerB) revert NotInOrder();
    }

    /// @dev P8. Both the block and the time must be the key's: a former key, stolen, cannot sign itself into the present.
    function _requireSigned(
        address operator,
        bytes32 structHash,
        bytes calldata signature,
        uint256 blockNumber,
        uint256 timestamp
    ) private view {
        if (blockNumber > block.number || timestamp > block.timestamp) {
            revert FromTheFuture(blockNumber, timestamp);
        }
        if (block.timestamp - timestamp > MAX_EVIDENCE_AGE) revert EvidenceTooOld(timestamp);
        STAKING.requireSigned(operator, structHash, signature, blockNumber, timestamp);
    }
}
