// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";
import {IEmergencyBrake, Pause} from "./interfaces/IEmergencyBrake.sol";
import {INodeStaking} from "./interfaces/INodeStaking.sol";

/// @title EmergencyBrake
contract EmergencyBrake is IEmergencyBrake {
    using SafeCast for uint256;

    struct Round {
        uint48 begunAt;
        uint208 counted;
    }

    uint48 private constant ROUND = 24 hours;
    uint48 private constant WINDOW = 30 days;
    uint48 private constant MAX_PAUSE = 10 days;
    uint48 private constant GUARDIAN_PAUSE = 72 hours;
    uint256 private constant SCOPE_BLOCKS = 300;
    bytes32 private constant ALL = keccak256("all");
    bytes32 private constant SCOPE = keccak256("scope");
    bytes32 private constant RELEASE = keccak256("release");

    /// @inheritdoc IEmergencyBrake
    address public immutable GUARDIAN;
    address private immutable STAKING;
    address private immutable GOVERNANCE;

    Pause[] private _pauses;
    uint48 private _guardianPausedAt;
    /// @dev The last block through which any subject was ever paused.
    uint48 private _scopesPausedThrough;
    mapping(bytes32 subject => uint256) private _scopePausedThrough;
    mapping(bytes32 round => Round) private _rounds;
    mapping(bytes32 kind => mapping(address operator => uint48)) private _countedAt;

    constructor(address staking, address governance, address guardian) {
        if (staking == address(0) || governance == address(0) || guardian == address(0)) revert ZeroAddress();
        (STAKING, GOVERNANCE, GUARDIAN) = (staking, governance, guardian);
    }

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        _;
    }

    // By stake

    /// @inheritdoc IEmergencyBrake
    function supportScopePause(bytes32 subject) external {
        if (subject == 0) revert ZeroSubject();
        bytes32 round = keccak256(abi.encode(SCOPE, subject)); // no subject is the round of something else
        (uint256 counted, uint256 total) = _count(SCOPE, round);
        if (counted * 3 < total) return;
        delete _rounds[round];
        uint256 through = block.number + SCOPE_BLOCKS;
        _scopePausedThrough[subject] = through;
        _scopesPausedThrough = through.toUint48();
        emit ScopePaused(subject, through);
    }

    /// @inheritdoc IEmergencyBrake
    function supportPause() external {
        if (isPaused()) revert AlreadyPaused();
        (uint256 counted, uint256 total) = _count(ALL, ALL);
        if (counted * 3 < total * 2) return;
        delete _rounds[ALL];
        _pause(MAX_PAUSE);
    }

    /// @inheritdoc IEmergencyBrake
    function supportRelease() external {
        if (!isPaused()) revert NotPaused();
        bytes32 round = keccak256(abi.encode(RELEASE, _pauses.length));
        (uint256 counted, uint256 total) = _count(round, round);
        if (counted * 2 > total) _release();
    }

    /// @dev Add the caller's stake to a round, a new one if the last is over a day old.
    function _count(bytes32 kind, bytes32 key) private returns (uint256 counted, uint256 total) {
        address operator = INodeStaking(STAKING).operatorOf(msg.sender);
        Round memory round = _rounds[key];
        if (block.timestamp >= round.begunAt + ROUND) round = Round(Time.timestamp(), 0);
        uint48 before = _countedAt[kind][operator];
        // Outside of a round counted in, only subjects make stake wait: else whoever began a round could split support.
        uint48 again = (kind == SCOPE ? before : before < round.begunAt ? 0 : round.begunAt) + ROUND;
        if (before != 0 && block.timestamp < again) revert CountedAlready(again);
        _countedAt[kind][operator] = Time.timestamp();
        uint256 weight = IVotes(STAKING).getPastVotes(operator, round.begunAt - 1);
        if (weight == 0) revert NoStake();
        counted = round.counted + weight;
        round.counted = counted.toUint208();
        _rounds[key] = round;
        total = IVotes(STAKING).getPastTotalSupply(round.begunAt - 1);
        emit Supported(key, operator, weight, counted, total);
    }

    // By the guardian and by governance

    /// @inheritdoc IEmergencyBrake
    function pause() external {
        if (msg.sender != GUARDIAN) revert NotGuardian();
        if (isPaused()) revert AlreadyPaused();
        uint48 again = _guardianPausedAt == 0 ? 0 : _guardianPausedAt + WINDOW;
        if (block.timestamp < again) revert GuardianMustWait(again);
        _guardianPausedAt = Time.timestamp();
        _pause(GUARDIAN_PAUSE);
    }

    /// @inheritdoc IEmergencyBrake
    function release() external onlyGovernance {
        if (!isPaused()) revert NotPaused();
        _release();
    }

    /// @inheritdoc IEmergencyBrake
    function releaseScope(bytes32 subject) external onlyGovernance {
        if (_scopePausedThrough[subject] < block.number) revert NotPaused();
        delete _scopePausedThrough[subject];
        emit ScopeReleased(subject);
    }

    /// @dev P21: what is paused in the 30 days before any moment of this pause is at most what is now, and this pause.
    function _pause(uint48 wanted) private {
        uint256 used = usedSeconds();
        if (used >= MAX_PAUSE) revert PauseBudgetSpent();
        uint48 end = Time.timestamp() + Math.min(wanted, MAX_PAUSE - used).toUint48();
        _pauses.push(Pause(Time.timestamp(), end));
        emit Paused(end, msg.sender);
    }

    function _release() private {
        _pauses[_pauses.length - 1].end = Time.timestamp();
        emit Released(msg.sender);
    }

    // What is paused

    /// @inheritdoc IEmergencyBrake
    function isPaused() public view returns (bool) {
        uint256 count = _pauses.length;
        return count != 0 && block.timestamp < _pauses[count - 1].end;
    }

    /// @inheritdoc IEmergencyBrake
    function isScopePaused(bytes32 subject) external view returns (bool) {
        return block.number <= _scopePausedThrough[subject] || isPaused();
    }

    /// @inheritdoc IEmergencyBrake
    function isAnyPaused(bytes32[] calldata subjects) external view returns (bool) {
        if (isPaused()) return true;
        if (block.number > _scopesPausedThrough) return false;
        for (uint256 i = 0; i < subjects.length; ++i) {
            if (block.number <= _scopePausedThrough[subjects[i]]) return true;
        }
        return false;
    }

    /// @inheritdoc IEmergencyBrake
    function usedSeconds() public view returns (uint256 used) {
        uint256 since = block.timestamp - WINDOW;
        for (uint256 i = _pauses.length; i != 0 && _pauses[i - 1].end > since; --i) {
            Pause memory past = _pauses[i - 1];
            used += Math.min(past.end, block.timestamp) - Math.max(past.start, since);
        }
    }

    /// @inheritdoc IEmergencyBrake
    function pauseCount() external view returns (uint256) {
        return _pauses.length;
    }

    /// @inheritdoc IEmergencyBrake
    function pauseAt(uint256 index) external view returns (Pause memory) {
        return _pauses[index];
    }
}
