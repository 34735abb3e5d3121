// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {IArbExecutor} from "./interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule, TokenLimit, Vault} from "./interfaces/IVaultModule.sol";
import {ISafe} from "./interfaces/external/ISafe.sol";

/// @title VaultModule
contract VaultModule is IVaultModule {
    using SafeERC20 for IERC20;
    using SlotDerivation for bytes32;
    using TransientSlot for *;

    struct Limit {
        uint128 maxDraw;
        bool pinned;
    }

    /// @inheritdoc IVaultModule
    uint256 public constant LOOSENING_DELAY = 48 hours;
    /// @inheritdoc IVaultModule
    uint256 public constant ENACTMENT_WINDOW = 7 days;

    uint8 private constant CALL = 0;
    uint256 private constant INTRINSIC_GAS = 21_000;
    uint256 private constant GAS_PER_CALLDATA_BYTE = 16;
    bytes32 private constant LOCKS = keccak256("hftnode.VaultModule.locks");

    mapping(address safe => Vault) private _vaults;
    mapping(address safe => mapping(address token => Limit)) private _limits;
    mapping(bytes32 proposal => uint256) private _dueAt;

    // Executions

    /// @inheritdoc IVaultModule
    function execute(address safe, address token, uint256 drawn, bytes calldata plan)
        external
        returns (uint256 profit)
    {
        Vault storage vault = _vaults[safe];
        if (msg.sender != vault.operator) revert NotOperator();
        if (vault.paused) revert VaultPaused();
        Limit memory limit = _limits[safe][token];
        if (!limit.pinned) revert TokenNotPinned(token);
        if (drawn > limit.maxDraw) revert DrawAboveMaximum(drawn, limit.maxDraw);
        if (address(vault.executor) == address(0)) revert NoExecutor();
        uint256 bidCap = _bidCapLeft(vault.bidCap);

        TransientSlot.BooleanSlot lock = LOCKS.deriveMapping(safe).asBoolean();
        if (lock.tload()) revert VaultBusy();
        lock.tstore(true);
        profit = _trade(safe, vault.executor, token, drawn, bidCap, plan);
        lock.tstore(false);
        emit Executed(safe, token, drawn, profit);
    }

    /// @dev Draw, let the executor run, pull.
    function _trade(
        address safe,
        IArbExecutor executor,
        address token,
        uint256 drawn,
        uint256 bidCap,
        bytes calldata plan
    ) private returns (uint256 profit) {
        uint256 before = drawn == 0 ? 0 : IERC20(token).balanceOf(safe);
        if (drawn != 0) _draw(safe, address(executor), token, drawn);
        uint256 owed = executor.execute(msg.sender, token, drawn, bidCap, plan);
        if (owed < drawn) revert PrincipalMissing(owed, drawn);
        IERC20(token).safeTransferFrom(address(executor), safe, owed);
        if (drawn != 0) {
            uint256 afterwards = IERC20(token).balanceOf(safe);
            if (afterwards < before) revert PrincipalMissing(afterwards, before);
        }
        return owed - drawn;
    }

    /// @dev Whether the token's own answer was good shows in the pull.
    function _draw(address safe, address executor, address token, uint256 amount) private {
        bytes memory transfer = abi.encodeCall(IERC20.transfer, (executor, amount));
        if (!ISafe(safe).execTransactionFromModule(token, 0, transfer, CALL)) revert DrawRefused();
    }

    /// @dev The cap less the priority fee, which is judged by the transaction's gas limit: the most it can come to.
    /// Only simulations have a gas price below the base fee.
    function _bidCapLeft(uint256 bidCap) private view returns (uint256) {
        if (tx.gasprice <= block.basefee) return bidCap;
        uint256 gasLimit = gasleft() + INTRINSIC_GAS + msg.data.length * GAS_PER_CALLDATA_BYTE;
        uint256 fee = (tx.gasprice - block.basefee) * gasLimit;
        if (fee > bidCap) revert PriorityFeeAboveCap(fee, bidCap);
        return bidCap - fee;
    }

    // Settings

    /// @inheritdoc IVaultModule
    function open(address operator, IArbExecutor executor, uint256 bidCap, TokenLimit[] calldata limits) external {
        if (_vaults[msg.sender].opened) revert AlreadyOpened();
        _requireEnabled(msg.sender);
        _vaults[msg.sender].opened = true;
        emit Opened(msg.sender);
        _change(msg.sender, Change(ChangeKind.Operator, operator, 0));
        _change(msg.sender, Change(ChangeKind.Executor, address(executor), 0));
        _change(msg.sender, Change(ChangeKind.BidCap, address(0), bidCap));
        for (uint256 i = 0; i < limits.length; ++i) {
            _change(msg.sender, Change(ChangeKind.Token, limits[i].token, limits[i].maxDraw));
        }
    }

    /// @inheritdoc IVaultModule
    function tighten(address safe, Change calldata change) external {
        Vault storage vault = _vaults[safe];
        if (!vault.opened) revert NotOpened();
        if (msg.sender != vault.operator && msg.sender != safe && !ISafe(safe).isOwner(msg.sender)) {
            revert NotGuardian();
        }
        if (!_isTighter(safe, change)) revert NotTighter();
        ++vault.generation;
        _change(safe, change);
    }

    /// @inheritdoc IVaultModule
    function propose(Change calldata change) external {
        if (!_vaults[msg.sender].opened) revert NotOpened();
        _requireWellFormed(msg.sender, change);
        uint256 due = block.timestamp + LOOSENING_DELAY;
        _dueAt[_proposal(msg.sender, change)] = due;
        emit Proposed(msg.sender, change.kind, change.subject, change.value, due);
    }

    /// @inheritdoc IVaultModule
    function enact(address safe, Change calldata change) external {
        bytes32 proposal = _proposal(safe, change);
        uint256 due = _dueAt[proposal];
        if (due == 0) revert NotProposed();
        if (block.timestamp < due) revert TooEarly(due);
        if (block.timestamp > due + ENACTMENT_WINDOW) revert TooLate(due + ENACTMENT_WINDOW);
        delete _dueAt[proposal];
        _change(safe, change);
    }

    /// @inheritdoc IVaultModule
    function vaultOf(address safe) external view returns (Vault memory) {
        return _vaults[safe];
    }

    /// @inheritdoc IVaultModule
    function limitOf(address safe, address token) external view returns (bool pinned, uint128 maxDraw) {
        Limit memory limit = _limits[safe][token];
        return (limit.pinned, limit.maxDraw);
    }

    /// @inheritdoc IVaultModule
    function dueAt(address safe, Change calldata change) external view returns (uint256) {
        return _dueAt[_proposal(safe, change)];
    }

    function _change(address safe, Change memory change) private {
        _requireWellFormed(safe, change);
        Vault storage vault = _vaults[safe];
        if (change.kind == ChangeKind.Pause) {
            vault.paused = change.value == 1;
        } else if (change.kind == ChangeKind.BidCap) {
            vault.bidCap = uint88(change.value);
        } else if (change.kind == ChangeKind.Token) {
            _limits[safe][change.subject] = Limit(uint128(change.value), true);
        } else if (change.kind == ChangeKind.Unpin) {
            delete _limits[safe][change.subject];
        } else if (change.kind == ChangeKind.Operator) {
            vault.operator = change.subject;
        } else {
            vault.executor = IArbExecutor(change.subject);
        }
        emit Changed(safe, change.kind, change.subject, change.value, msg.sender);
    }

    function _isTighter(address safe, Change calldata change) private view returns (bool) {
        if (change.kind == ChangeKind.Pause) return change.value == 1;
        if (change.kind == ChangeKind.BidCap) return change.value < _vaults[safe].bidCap;
        if (change.kind == ChangeKind.Unpin) return true;
        if (change.kind == ChangeKind.Token) {
            Limit memory limit = _limits[safe][change.subject];
            return limit.pinned && change.value < limit.maxDraw;
        }
        return change.subject == address(0); // no operator, no executor
    }

    /// @dev A Safe's own address is no token (it must never be called for its module), and neither is an account
    /// without code; an executor is a contract other than the Safe.
    function _requireWellFormed(address safe, Change memory change) private view {
        ChangeKind kind = change.kind;
        bool isGood;
        if (kind == ChangeKind.Pause) {
            isGood = change.subject == address(0) && change.value <= 1;
        } else if (kind == ChangeKind.BidCap) {
            isGood = change.subject == address(0) && change.value <= type(uint88).max;
        } else if (kind == ChangeKind.Token) {
            isGood = change.value <= type(uint128).max && change.subject != safe && change.subject.code.length != 0;
        } else if (kind == ChangeKind.Executor) {
            bool isContract = change.subject != safe && change.subject.code.length != 0;
            isGood = change.value == 0 && (isContract || change.subject == address(0));
        } else {
            isGood = change.value == 0;
        }
        if (!isGood) revert MalformedChange();
    }

    function _proposal(address safe, Change calldata change) private view returns (bytes32) {
        return keccak256(abi.encode(safe, _vaults[safe].generation, change));
    }

    function _requireEnabled(address safe) private view {
        if (safe.code.length == 0 || !ISafe(safe).isModuleEnabled(address(this))) revert ModuleNotEnabled();
    }
}
