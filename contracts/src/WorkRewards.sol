// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {INetworkParameters, Parameter} from "./interfaces/INetworkParameters.sol";
import {INodeStaking} from "./interfaces/INodeStaking.sol";
import {IWorkRewards} from "./interfaces/IWorkRewards.sol";
import {Attestation, Statements} from "./libraries/Statements.sol";

/// @title WorkRewards
contract WorkRewards is IWorkRewards {
    using SafeERC20 for IERC20;

    uint256 private constant WEEK = 7 days;
    uint256 private constant FULL_BPS = 10_000;

    IERC20 private immutable TOKEN;
    address private immutable STAKING;
    INetworkParameters private immutable PARAMETERS;

    /// @inheritdoc IWorkRewards
    mapping(uint256 week => uint256) public potOf;
    /// @inheritdoc IWorkRewards
    mapping(uint256 week => uint256) public totalCreditOf;
    /// @inheritdoc IWorkRewards
    mapping(uint256 week => mapping(address operator => uint256)) public creditOf;
    /// @dev Keccak-256 of the week and what was signed.
    mapping(bytes32 alertId => bytes32) private _settledAs;
    mapping(bytes32 alertId => mapping(address operator => bool)) private _isCredited;

    constructor(IERC20 token, address staking, INetworkParameters parameters) {
        if (address(token) == address(0) || staking == address(0) || address(parameters) == address(0)) {
            revert ZeroAddress();
        }
        (TOKEN, STAKING, PARAMETERS) = (token, staking, parameters);
    }

    /// @inheritdoc IWorkRewards
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        potOf[currentWeek()] += amount;
        emit Funded(currentWeek(), msg.sender, amount);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IWorkRewards
    function settle(Attestation calldata attestation, address[] calldata operators, bytes[] calldata signatures)
        external
    {
        if (operators.length != signatures.length || operators.length == 0) revert LengthMismatch();
        bytes32 structHash = Statements.hash(attestation);
        if (Blockhash.blockHash(attestation.blockNumber) != attestation.blockHash) {
            revert NotCanonical(attestation.blockHash);
        }
        _requireTimely(attestation);
        bytes32 settledAs = keccak256(abi.encode(currentWeek(), structHash));
        bytes32 before = _settledAs[attestation.alertId];
        if (before != 0 && before != settledAs) revert SettledOtherwise(attestation.alertId);
        uint256 weight = _credit(attestation, structHash, operators, signatures);
        if (before != 0) return;
        _settledAs[attestation.alertId] = settledAs;
        uint256 stake = IVotes(STAKING).getPastTotalSupply(block.timestamp - 1);
        uint256 needed = Math.mulDiv(stake, PARAMETERS.valueOf(Parameter.AlertQuorumBps), FULL_BPS, Math.Rounding.Ceil);
        if (weight < needed) revert QuorumMissed(weight, needed);
        emit Settled(attestation.alertId, attestation.verdict, weight);
    }

    /// @dev What is paid for can be punished: the court takes no evidence that is older, or of the future.
    function _requireTimely(Attestation calldata attestation) private view {
        (uint256 blockNumber, uint256 timestamp) = (attestation.blockNumber, attestation.timestamp);
        if (timestamp > block.timestamp) revert FromTheFuture(blockNumber, timestamp);
        if (block.timestamp - timestamp > Statements.MAX_AGE) revert EvidenceTooOld(timestamp);
    }

    /// @dev Credit every attester its stake; return their stake.
    function _credit(
        Attestation calldata attestation,
        bytes32 structHash,
        address[] calldata operators,
        bytes[] calldata signatures
    ) private returns (uint256 weight) {
        address last = address(0);
        for (uint256 i = 0; i < operators.length; ++i) {
            if (operators[i] <= last) revert NotAscending(operators[i]);
            last = operators[i];
            INodeStaking(STAKING)
                .requireSigned(last, structHash, signatures[i], attestation.blockNumber, attestation.timestamp);
            weight += _creditOne(attestation.alertId, last);
        }
        totalCreditOf[currentWeek()] += weight;
    }

    function _creditOne(bytes32 alertId, address operator) private returns (uint256 credit) {
        if (_isCredited[alertId][operator]) revert AlreadyCredited(operator);
        _isCredited[alertId][operator] = true;
        credit = IVotes(STAKING).getPastVotes(operator, block.timestamp - 1);
        creditOf[currentWeek()][operator] += credit;
        emit Credited(alertId, operator, currentWeek(), credit);
    }

    /// @inheritdoc IWorkRewards
    function claim(uint256 week, address operator) external returns (uint256 amount) {
        if (week >= currentWeek()) revert WeekNotOver(week);
        uint256 credit = creditOf[week][operator];
        if (credit == 0) revert NothingToClaim();
        creditOf[week][operator] = 0;
        amount = Math.mulDiv(potOf[week], credit, totalCreditOf[week]);
        emit Claimed(week, operator, amount);
        TOKEN.safeTransfer(operator, amount);
    }

    /// @inheritdoc IWorkRewards
    function carry(uint256 week) external {
        uint256 to = currentWeek();
        if (week >= to) revert WeekNotOver(week);
        uint256 amount = potOf[week];
        if (amount == 0 || totalCreditOf[week] != 0) revert NothingToCarry(week);
        potOf[week] = 0;
        potOf[to] += amount;
        emit Carried(week, to, amount);
    }

    /// @inheritdoc IWorkRewards
    function currentWeek() public view returns (uint256) {
        return block.timestamp / WEEK;
    }
}
