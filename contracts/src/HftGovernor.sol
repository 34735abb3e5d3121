// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";

/// @notice How proposals go; for ever.
/// @param votingDelay Seconds from proposal to the snapshot of the votes.
/// @param votingPeriod Seconds to vote.
/// @param proposalThreshold Active stake that a proposer needs, smallest units.
/// @param quorumPercent The share of all active stake that must vote for or abstain, percent.
struct GovernorSettings {
    uint48 votingDelay;
    uint32 votingPeriod;
    uint256 proposalThreshold;
    uint256 quorumPercent;
}

/// @title Proposals, voted by active stake, executed by the Timelock
/// @notice OpenZeppelin's Governor on `NodeStaking`'s votes. Votes are those of the second before voting begins, and stake
/// leaves in 21 days: borrowed tokens do not vote. A description that ends with `#proposer=0x…` can be proposed by that
/// account only, so that nobody takes (and then cancels) another's proposal. The settings and the Timelock are fixed.
///
/// P13  Only this governor proposes to the Timelock and cancels there; the deployer holds nothing.
contract HftGovernor is Governor, GovernorCountingSimple, GovernorVotes, GovernorTimelockControl {
    /// @notice A quorum outside 1 to 50 percent, a voting period of zero, or no threshold.
    error WrongSettings();
    /// @notice From a proposal to its execution it would take longer than the longest brake and the escrow last.
    error TooSlow(uint256 secondsToExecution);
    /// @notice There is one Timelock for ever.
    error TimelockIsFixed();

    uint256 private constant MAX_SECONDS_TO_EXECUTION = 10 days;
    uint256 private constant MAX_QUORUM_PERCENT = 50;

    uint48 private immutable VOTING_DELAY;
    uint32 private immutable VOTING_PERIOD;
    uint256 private immutable PROPOSAL_THRESHOLD;
    uint256 private immutable QUORUM_PERCENT;

    constructor(IVotes staking, TimelockController timelock_, GovernorSettings memory settings)
        Governor("hftnode governor")
        GovernorVotes(staking)
        GovernorTimelockControl(timelock_)
    {
        bool isQuorum = settings.quorumPercent != 0 && settings.quorumPercent <= MAX_QUORUM_PERCENT;
        if (!isQuorum || settings.votingPeriod == 0 || settings.proposalThreshold == 0) revert WrongSettings();
        uint256 total = uint256(settings.votingDelay) + settings.votingPeriod + timelock_.getMinDelay();
        if (total >= MAX_SECONDS_TO_EXECUTION) revert TooSlow(total);
        (VOTING_DELAY, VOTING_PERIOD) = (settings.votingDelay, settings.votingPeriod);
        (PROPOSAL_THRESHOLD, QUORUM_PERCENT) = (settings.proposalThreshold, settings.quorumPercent);
    }

    /// @notice Seconds from proposal to the snapshot of the votes.
    function votingDelay() public view override returns (uint256) {
        return VOTING_DELAY;
    }

    /// @notice Seconds to vote.
    function votingPeriod() public view override returns (uint256) {
        return VOTING_PERIOD;
    }

    /// @notice Active stake that a proposer needs.
    function proposalThreshold() public view override returns (uint256) {
        return PROPOSAL_THRESHOLD;
    }

    /// @notice Active stake that must have voted for or abstained, of all there was at that second.
    function quorum(uint256 timepoint) public view override returns (uint256) {
        return token().getPastTotalSupply(timepoint) * QUORUM_PERCENT / 100;
    }

    /// @notice Refused: the Timelock is fixed.
    function updateTimelock(TimelockController) public pure override {
        revert TimelockIsFixed();
    }

    /// @inheritdoc GovernorTimelockControl
    function state(uint256 proposalId) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(proposalId);
    }

    /// @inheritdoc GovernorTimelockControl
    function proposalNeedsQueuing(uint256 proposalId)
        public
        view
        override(Governor, GovernorTimelockControl)
        returns (bool)
    {
        return super.proposalNeedsQueuing(proposalId);
    }

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint256) {
        return super._cancel(targets, values, calldatas, descriptionHash);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }
}
