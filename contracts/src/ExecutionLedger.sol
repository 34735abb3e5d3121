// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IEmergencyBrake} from "./interfaces/IEmergencyBrake.sol";
import {Cut, Entry, Epoch, IExecutionLedger, LedgerBindings} from "./interfaces/IExecutionLedger.sol";
import {INetworkParameters, Parameter} from "./interfaces/INetworkParameters.sol";
import {INodeStaking} from "./interfaces/INodeStaking.sol";
import {IRewardStream} from "./interfaces/IRewardStream.sol";
import {Order, Statements} from "./libraries/Statements.sol";

/// @title ExecutionLedger
contract ExecutionLedger is IExecutionLedger {
    using SafeERC20 for IERC20;

    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant MAX_LAG = 256;

    INodeStaking private immutable STAKING;
    INetworkParameters private immutable PARAMETERS;
    IEmergencyBrake private immutable BRAKE;
    address private immutable STREAM;
    address private immutable STREAM_TOKEN;
    address private immutable GOVERNANCE;
    uint256 private immutable LENGTH;
    uint256 private immutable CUT_OFF;
    uint256 private immutable LAG;

    mapping(uint256 epoch => Epoch) private _epochs;
    mapping(uint256 epoch => mapping(uint256 index => Entry)) private _entries;
    mapping(address operator => uint256) private _lastCheckIn;
    /// @inheritdoc IExecutionLedger
    mapping(address executor => bool) public isExecutor;

    /// @dev Keccak-256 of who opened what; and that order's hash.
    bytes32 private transient _opened;
    bytes32 private transient _orderHash;

    constructor(LedgerBindings memory bindings, Cut memory cut_) {
        if (bindings.parameters == address(0) || bindings.brake == address(0) || bindings.governance == address(0)) {
            revert ZeroAddress();
        }
        if (cut_.cutOff <= cut_.lag || cut_.cutOff >= cut_.length || cut_.lag >= MAX_LAG || cut_.lag == 0) {
            revert WrongCut();
        }
        STAKING = INodeStaking(bindings.staking);
        if (STAKING.LEDGER() != address(this) || cut_.length * 2 > STAKING.MAX_LOCK_BLOCKS()) revert WrongRegistry();
        PARAMETERS = INetworkParameters(bindings.parameters);
        BRAKE = IEmergencyBrake(bindings.brake);
        (STREAM, STREAM_TOKEN) = (bindings.stream, IRewardStream(bindings.stream).TOKEN());
        GOVERNANCE = bindings.governance;
        (LENGTH, CUT_OFF, LAG) = (cut_.length, cut_.cutOff, cut_.lag);
    }

    // Epochs

    /// @inheritdoc IExecutionLedger
    function checkIn(uint256 epoch) external {
        address operator = STAKING.operatorOf(msg.sender);
        bool isNext = epoch == block.number / LENGTH + 1;
        if (!isNext || block.number >= epoch * LENGTH - CUT_OFF) revert CheckInClosed(epoch);
        if (_lastCheckIn[operator] == epoch) revert AlreadyCheckedIn();
        _lastCheckIn[operator] = epoch;
        uint96 stake = STAKING.lock(operator, (epoch + 1) * LENGTH - 1);
        uint256 minimum = PARAMETERS.valueOf(Parameter.MinStake);
        if (stake < minimum) revert StakeTooSmall(stake, minimum);
        Epoch storage next = _epochs[epoch];
        uint96 cumulative = next.totalStake + stake;
        emit CheckedIn(epoch, operator, next.entries, cumulative);
        _entries[epoch][next.entries] = Entry(operator, cumulative);
        next.totalStake = cumulative;
        ++next.entries;
    }

    /// @inheritdoc IExecutionLedger
    function roll(uint256 epoch, bytes calldata header) external {
        Epoch storage rolled = _epochs[epoch];
        if (rolled.rolled) revert AlreadyRolled(epoch);
        if (rolled.entries == 0) revert NobodyCheckedIn(epoch);
        uint256 seedBlock = seedBlockOf(epoch);
        bytes32 wanted = Blockhash.blockHash(seedBlock);
        if (wanted == 0) revert SeedBlockOutOfReach(seedBlock);
        if (keccak256(header) != wanted) revert WrongHeader(wanted);
        rolled.seed = BlockHeader.getPrevRandao(header);
        rolled.rolled = true;
        emit Rolled(epoch, rolled.seed, rolled.totalStake, rolled.entries);
    }

    // Network executions

    /// @inheritdoc IExecutionLedger
    function open(
        Order calldata order,
        bytes calldata signature,
        uint256 index,
        address hotKey,
        bytes32[] calldata uses
    ) external returns (bytes32 orderHash) {
        if (!isExecutor[msg.sender]) revert NotExecutor();
        if (_opened != 0) revert OrderIsOpen();
        if (block.number != order.targetBlock) revert WrongBlock(order.targetBlock);
        _requireInUse(order.profitToken, uses);
        address operator = STAKING.operatorOf(hotKey);
        if (operator != order.executor) revert NotTheOrdersExecutor(operator);
        if (leaderOf(block.number, index) != operator) revert NotLeader(index);
        bytes32 structHash = Statements.hash(order);
        orderHash = STAKING.requireSigned(order.finder, structHash, signature, block.number, block.timestamp);
        (_opened, _orderHash) = (keccak256(abi.encode(msg.sender, structHash)), orderHash);
    }

    /// @dev Neither paused nor removed: the profit token, the executor, and what its route uses.
    function _requireInUse(address profitToken, bytes32[] calldata uses) private view {
        bytes32[] memory subjects = new bytes32[](uses.length + 2);
        subjects[0] = bytes32(uint256(uint160(profitToken)));
        subjects[1] = bytes32(uint256(uint160(msg.sender)));
        for (uint256 i = 0; i < uses.length; ++i) {
            subjects[i + 2] = uses[i];
        }
        if (BRAKE.isAnyPaused(subjects)) revert Paused();
        if (PARAMETERS.isAnyRemoved(subjects)) revert OutOfUse();
    }

    /// @inheritdoc IExecutionLedger
    function settle(Order calldata order, uint256 net) external returns (uint256 paid, uint256 fee) {
        if (_opened != keccak256(abi.encode(msg.sender, Statements.hash(order)))) revert OrderNotOpen();
        bytes32 orderHash = _orderHash;
        (_opened, _orderHash) = (0, 0);
        (paid, fee) = dues(order, net);
        IERC20 token = IERC20(order.profitToken);
        uint256 before = token.balanceOf(order.payTo);
        token.safeTransferFrom(msg.sender, order.payTo, paid);
        uint256 afterwards = token.balanceOf(order.payTo);
        if (afterwards < before + paid) revert FinderUnpaid(Math.saturatingSub(afterwards, before), paid);
        if (fee != 0) token.safeTransferFrom(msg.sender, STREAM, fee);
        emit Executed(orderHash, order.primaryKey, order.finder, order.executor, order.profitToken, net, paid, fee);
    }

    /// @inheritdoc IExecutionLedger
    function dues(Order calldata order, uint256 net) public view returns (uint256 paid, uint256 fee) {
        paid = Math.max(Math.mulDiv(net, order.finderBps, FULL_BPS, Math.Rounding.Ceil), order.minFinderWei);
        if (order.profitToken != STREAM_TOKEN) return (paid, 0);
        fee = Math.mulDiv(net, PARAMETERS.valueOf(Parameter.ProtocolFeeBps), FULL_BPS);
        fee = Math.min(fee, Math.saturatingSub(net, paid));
    }

    /// @inheritdoc IExecutionLedger
    function setExecutor(address executor, bool isExecutor_) external {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        if (executor == address(0)) revert ZeroAddress();
        isExecutor[executor] = isExecutor_;
        emit ExecutorSet(executor, isExecutor_);
    }

    // Leaders

    /// @inheritdoc IExecutionLedger
    function leaderOf(uint256 blockNumber, uint256 index) public view returns (address operator) {
        uint256 epoch = blockNumber / LENGTH;
        uint256 draw = drawOf(blockNumber);
        Entry memory entry = _entries[epoch][index];
        uint256 lower = index == 0 ? 0 : _entries[epoch][index - 1].cumulativeStake;
        if (draw < lower || draw >= entry.cumulativeStake) revert NotLeader(index);
        return entry.operator;
    }

    /// @inheritdoc IExecutionLedger
    function drawOf(uint256 blockNumber) public view returns (uint256) {
        uint256 epoch = blockNumber / LENGTH;
        Epoch storage drawn = _epochs[epoch];
        if (!drawn.rolled) revert NotRolled(epoch);
        return uint256(keccak256(abi.encode(drawn.seed, blockNumber))) % drawn.totalStake;
    }

    /// @inheritdoc IExecutionLedger
    function epochAt(uint256 epoch) external view returns (Epoch memory) {
        return _epochs[epoch];
    }

    /// @inheritdoc IExecutionLedger
    function entryAt(uint256 epoch, uint256 index) external view returns (Entry memory) {
        return _entries[epoch][index];
    }

    /// @inheritdoc IExecutionLedger
    function seedBlockOf(uint256 epoch) public view returns (uint256) {
        return epoch * LENGTH - LAG;
    }

    /// @inheritdoc IExecutionLedger
    function cut() external view returns (Cut memory) {
        return Cut(LENGTH, CUT_OFF, LAG);
    }
}
