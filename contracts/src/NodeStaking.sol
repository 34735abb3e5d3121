// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Votes} from "@openzeppelin/contracts/governance/utils/Votes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";
import {HotKey, INodeStaking, Operator} from "./interfaces/INodeStaking.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title NodeStaking
contract NodeStaking is INodeStaking, Votes {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @inheritdoc INodeStaking
    uint48 public constant UNBONDING = 21 days;
    /// @inheritdoc INodeStaking
    uint256 public constant MAX_LOCK_BLOCKS = 100_800;

    /// @inheritdoc INodeStaking
    address public immutable TOKEN;
    /// @inheritdoc INodeStaking
    address public immutable COURT;
    /// @inheritdoc INodeStaking
    address public immutable LEDGER;

    mapping(address operator => Operator) private _operators;
    mapping(address key => HotKey) private _hotKeys;

    /// @inheritdoc INodeStaking
    uint256 public escrow;

    constructor(address token, address court, address ledger) EIP712("hftnode", "1") {
        if (token == address(0) || court == address(0) || ledger == address(0)) revert ZeroAddress();
        (TOKEN, COURT, LEDGER) = (token, court, ledger);
    }

    modifier onlyCourt() {
        if (msg.sender != COURT) revert NotCourt();
        _;
    }

    // Operators and their keys

    /// @inheritdoc INodeStaking
    function register(address hotKey, bytes32 peerIdHash, bytes calldata binding) external {
        if (_operators[msg.sender].hotKey != address(0)) revert AlreadyRegistered();
        if (_hotKeys[msg.sender].operator != address(0)) revert KeyInUse(msg.sender);
        _delegate(msg.sender, msg.sender);
        emit Registered(msg.sender);
        _setHotKey(hotKey, binding);
        _setPeerId(peerIdHash);
    }

    /// @inheritdoc INodeStaking
    function setHotKey(address hotKey, bytes calldata binding) external {
        _requireRegistered(msg.sender);
        HotKey storage previous = _hotKeys[_operators[msg.sender].hotKey];
        previous.untilBlock = Time.blockNumber();
        previous.untilTime = Time.timestamp();
        _setHotKey(hotKey, binding);
    }

    /// @inheritdoc INodeStaking
    function setPeerId(bytes32 peerIdHash) external {
        _requireRegistered(msg.sender);
        _setPeerId(peerIdHash);
    }

    function _setHotKey(address hotKey, bytes calldata binding) private {
        bool isAnothersAccount = hotKey != msg.sender && _operators[hotKey].hotKey != address(0);
        if (_hotKeys[hotKey].operator != address(0) || isAnothersAccount) revert KeyInUse(hotKey);
        if (_recover(_hashTypedDataV4(Statements.hashBinding(msg.sender)), binding) != hotKey) revert NotBound(hotKey);
        emit HotKeySet(msg.sender, hotKey, _operators[msg.sender].hotKey);
        _hotKeys[hotKey] = HotKey(msg.sender, Time.blockNumber(), Time.timestamp(), 0, 0);
        _operators[msg.sender].hotKey = hotKey;
    }

    function _setPeerId(bytes32 peerIdHash) private {
        if (peerIdHash == 0) revert ZeroPeerId();
        _operators[msg.sender].peerIdHash = peerIdHash;
        emit PeerIdSet(msg.sender, peerIdHash);
    }

    // Stake

    /// @inheritdoc INodeStaking
    function stake(uint256 amount) external {
        _requireRegistered(msg.sender);
        if (amount == 0) revert ZeroAmount();
        _addActive(msg.sender, amount);
        emit Staked(msg.sender, amount);
        IERC20(TOKEN).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc INodeStaking
    function requestUnstake(uint256 amount) external {
        Operator storage operator = _operators[msg.sender];
        if (amount == 0) revert ZeroAmount();
        uint256 kept = block.number > operator.lockedThrough ? 0 : operator.locked;
        uint256 available = operator.active > kept ? operator.active - kept : 0;
        if (amount > available) revert InsufficientStake(available, amount);
        _takeActive(msg.sender, amount);
        operator.leaving += amount.toUint96();
        operator.readyAt = Time.timestamp() + UNBONDING;
        emit UnstakingRequested(msg.sender, amount, operator.readyAt);
    }

    /// @inheritdoc INodeStaking
    function completeUnstake() external {
        Operator storage operator = _operators[msg.sender];
        uint256 amount = operator.leaving;
        if (amount == 0) revert NothingLeaving();
        if (block.timestamp < operator.readyAt) revert TooEarly(operator.readyAt);
        operator.leaving = 0;
        emit Unstaked(msg.sender, amount);
        IERC20(TOKEN).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INodeStaking
    function lock(address operator, uint256 throughBlock) external returns (uint96 weight) {
        if (msg.sender != LEDGER) revert NotLedger();
        if (throughBlock > block.number + MAX_LOCK_BLOCKS) revert LockTooLong(throughBlock);
        weight = _operators[operator].active;
        _operators[operator].locked = weight;
        _operators[operator].lockedThrough = throughBlock.toUint48();
        emit Locked(operator, weight, throughBlock);
    }

    // Slashing

    /// @inheritdoc INodeStaking
    function slash(address operator, uint256 amount) external onlyCourt {
        Operator storage slashed = _operators[operator];
        uint256 fromActive = amount < slashed.active ? amount : slashed.active;
        uint256 fromLeaving = amount - fromActive;
        _takeActive(operator, fromActive);
        slashed.leaving -= fromLeaving.toUint96();
        escrow += amount;
        emit Slashed(operator, fromActive, fromLeaving);
    }

    /// @inheritdoc INodeStaking
    function restore(address operator, uint256 amount) external onlyCourt {
        escrow -= amount;
        _addActive(operator, amount);
        emit Restored(operator, amount);
    }

    /// @inheritdoc INodeStaking
    function endEscrow(address reporter, uint256 reward, uint256 burned) external onlyCourt {
        escrow -= reward + burned;
        emit EscrowEnded(reporter, reward, burned);
        ERC20Burnable(TOKEN).burn(burned);
        IERC20(TOKEN).safeTransfer(reporter, reward);
    }

    function _addActive(address operator, uint256 amount) private {
        _operators[operator].active = (_operators[operator].active + amount).toUint96();
        _transferVotingUnits(address(0), operator, amount);
    }

    function _takeActive(address operator, uint256 amount) private {
        _operators[operator].active -= amount.toUint96();
        _transferVotingUnits(operator, address(0), amount);
    }

    // What was signed, by whom

    /// @inheritdoc INodeStaking
    function requireSigned(
        address operator,
        bytes32 structHash,
        bytes calldata signature,
        uint256 blockNumber,
        uint256 timestamp
    ) external view returns (bytes32 digest) {
        digest = _hashTypedDataV4(structHash);
        address key = _recover(digest, signature);
        HotKey memory known = _hotKeys[key];
        bool isOver = known.untilBlock != 0 && (blockNumber >= known.untilBlock || timestamp >= known.untilTime);
        bool hasBegun = blockNumber >= known.fromBlock && timestamp >= known.fromTime;
        if (known.operator != operator || !hasBegun || isOver) revert KeyNotInForce(operator, key);
    }

    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        ECDSA.RecoverError fault;
        (signer, fault,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (fault != ECDSA.RecoverError.NoError) revert BadSignature();
    }

    /// @inheritdoc INodeStaking
    function operatorOf(address account) external view returns (address operator) {
        if (_operators[account].hotKey != address(0)) return account;
        operator = _hotKeys[account].operator;
        if (operator == address(0) || _hotKeys[account].untilBlock != 0) revert NotRegistered(account);
    }

    /// @inheritdoc INodeStaking
    function operatorAt(address operator) external view returns (Operator memory) {
        return _operators[operator];
    }

    /// @inheritdoc INodeStaking
    function hotKeyAt(address key) external view returns (HotKey memory) {
        return _hotKeys[key];
    }

    /// @inheritdoc INodeStaking
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _requireRegistered(address account) private view {
        if (_operators[account].hotKey == address(0)) revert NotRegistered(account);
    }

    // Votes

    /// @notice Seconds (ERC-6372).
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @notice Says that the clock is in seconds.
    // forge-lint: disable-next-line(mixed-case-function)
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _delegate(address account, address delegatee) internal override {
        if (delegatee != account) revert DelegationIsFixed();
        super._delegate(account, delegatee);
    }

    function _getVotingUnits(address account) internal view override returns (uint256) {
        return _operators[account].active;
    }
}
