// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {VaultSettings} from "./VaultSettings.sol";
import {IArbExecutor} from "./interfaces/IArbExecutor.sol";
import {Inventory, IVaultModule, Market, Vault} from "./interfaces/IVaultModule.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {ISafe} from "./interfaces/external/ISafe.sol";
import {Bucket, Level} from "./libraries/Bucket.sol";
import {MarketPrice} from "./libraries/MarketPrice.sol";

/// @title VaultModule
contract VaultModule is VaultSettings {
    using Bucket for Level;
    using MarketPrice for Market;
    using MarketPrice for MarketPrice.Price;
    using SafeERC20 for IERC20;
    using SlotDerivation for bytes32;
    using TransientSlot for *;

    uint8 private constant CALL = 0;
    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant INTRINSIC_GAS = 21_000;
    uint256 private constant GAS_PER_CALLDATA_BYTE = 16;
    bytes32 private constant LOCKS = keccak256("hftnode.VaultModule.locks");

    constructor(INetworkParameters parameters) VaultSettings(parameters) {}

    /// @dev One thing at a time for each Safe, and only what its hot key asks for.
    modifier byOperator(address safe) {
        _enter(safe);
        _;
        LOCKS.deriveMapping(safe).asBoolean().tstore(false);
    }

    // Atomic executions

    /// @inheritdoc IVaultModule
    function execute(address safe, address token, uint256 drawn, bytes calldata plan)
        external
        byOperator(safe)
        returns (uint256 profit)
    {
        _requireDrawable(safe, token, drawn);
        IArbExecutor executor = _executorOf(safe);
        uint256 bidCap = _bidCapLeft(_vaults[safe].bidCap);
        uint256 before = drawn == 0 ? 0 : IERC20(token).balanceOf(safe);
        if (drawn != 0) _draw(safe, token, drawn, executor, plan);
        uint256 owed = executor.execute(msg.sender, token, drawn, bidCap, plan);
        if (owed < drawn) revert PrincipalMissing(owed, drawn);
        IERC20(token).safeTransferFrom(address(executor), safe, owed);
        if (drawn != 0) {
            uint256 afterwards = IERC20(token).balanceOf(safe);
            if (afterwards < before) revert PrincipalMissing(afterwards, before);
        }
        profit = owed - drawn;
        emit Executed(safe, token, drawn, profit);
    }

    // Inventory

    /// @inheritdoc IVaultModule
    function trade(address safe, address sold, uint256 amount, address bought, bytes calldata plan)
        external
        byOperator(safe)
        returns (uint256 received)
    {
        // no bid comes out of a trade: the cap holds the priority fee alone, judged while the least gas is spent
        _bidCapLeft(_vaults[safe].bidCap);
        if (amount == 0 || sold == bought) revert NothingToTrade();
        _requireDrawable(safe, sold, amount);
        if (!_limits[safe][bought].pinned) revert TokenNotPinned(bought);
        Inventory memory inventory = _inventories[safe];
        if (inventory.unit == address(0)) revert InventoryOff();
        uint256 worth = _priceOf(safe, sold, inventory).worthUp(amount);
        MarketPrice.Price memory price = _priceOf(safe, bought, inventory);
        received = _swap(safe, sold, amount, bought, plan);
        uint256 loss = Math.saturatingSub(worth, price.worthDown(received));
        _account(safe, inventory, worth, loss);
        emit Traded(safe, sold, bought, amount, received, loss, worth);
    }

    /// @dev Draw, let the executor run, pull; and look at what is held.
    function _swap(address safe, address sold, uint256 amount, address bought, bytes calldata plan)
        private
        returns (uint256 received)
    {
        IArbExecutor executor = _executorOf(safe);
        uint256 soldBefore = _held(safe, sold);
        uint256 boughtBefore = _held(safe, bought);
        _draw(safe, sold, amount, executor, plan);
        received = executor.trade(sold, amount, bought, plan);
        IERC20(bought).safeTransferFrom(address(executor), safe, received);

        uint256 held = _held(safe, sold);
        if (held + amount < soldBefore) revert TradeIncomplete(sold, held, soldBefore - amount);
        uint256 atLeast = _markets[safe][sold].heldAtLeast;
        if (held < atLeast) revert HeldTooLittle(sold, held, atLeast);
        held = _held(safe, bought);
        if (held < boughtBefore + received) revert TradeIncomplete(bought, held, boughtBefore + received);
        uint256 atMost = _markets[safe][bought].heldAtMost;
        if (held > atMost) revert HeldTooMuch(bought, held, atMost);
    }

    function _account(address safe, Inventory memory inventory, uint256 worth, uint256 loss) private {
        uint256 band = Math.mulDiv(worth, inventory.lossBand, FULL_BPS);
        if (loss > band) revert LossAboveBand(loss, band);
        (uint256 level, bool fits) = _levels[safe].losses.pour(loss, inventory.maxLoss);
        if (!fits) revert LossAboveMaximum(level, inventory.maxLoss);
        (level, fits) = _levels[safe].turnover.pour(worth, inventory.maxTurnover);
        if (!fits) revert TurnoverAboveMaximum(level, inventory.maxTurnover);
    }

    function _priceOf(address safe, address token, Inventory memory inventory)
        private
        view
        returns (MarketPrice.Price memory)
    {
        address unit = inventory.unit;
        if (token == unit) return MarketPrice.Price(MarketPrice.ONE, MarketPrice.ONE);
        return _markets[safe][token].read(token, unit, inventory.decimals, inventory.agreement);
    }

    /// @inheritdoc IVaultModule
    function deposit(address safe, address token, address exchange, uint256 amount) external byOperator(safe) {
        if (amount == 0) revert NothingToDeposit();
        if (!_limits[safe][token].pinned) revert TokenNotPinned(token);
        Deposits storage deposits = _deposits[safe][exchange][token];
        uint256 today = block.timestamp / 1 days;
        uint256 sent = amount + (deposits.day == today ? deposits.sent : 0);
        if (sent > deposits.cap) revert DepositAboveCap(sent, deposits.cap);
        // at most the cap, which has 96 bits
        // forge-lint: disable-next-line(unsafe-typecast)
        (deposits.day, deposits.sent) = (uint64(today), uint96(sent));
        uint256 before = _held(safe, token);
        _transfer(safe, token, exchange, amount);
        uint256 held = _held(safe, token);
        if (held + amount != before) revert DepositIncomplete(held, before);
        emit Deposited(safe, exchange, token, amount);
    }

    // What they share

    function _enter(address safe) private {
        Vault storage vault = _vaults[safe];
        if (msg.sender != vault.operator) revert NotOperator();
        if (vault.paused) revert VaultPaused();
        TransientSlot.BooleanSlot lock = LOCKS.deriveMapping(safe).asBoolean();
        if (lock.tload()) revert VaultBusy();
        lock.tstore(true);
    }

    function _requireDrawable(address safe, address token, uint256 amount) private view {
        Limit memory limit = _limits[safe][token];
        if (!limit.pinned) revert TokenNotPinned(token);
        if (amount > limit.maxDraw) revert DrawAboveMaximum(amount, limit.maxDraw);
    }

    function _executorOf(address safe) private view returns (IArbExecutor executor) {
        executor = _vaults[safe].executor;
        if (address(executor) == address(0)) revert NoExecutor();
    }

    /// @dev To where the executor wants it, which might send it there itself.
    function _draw(address safe, address token, uint256 amount, IArbExecutor executor, bytes calldata plan) private {
        _transfer(safe, token, executor.entryOf(token, plan), amount);
    }

    function _held(address safe, address token) private view returns (uint256) {
        return IERC20(token).balanceOf(safe);
    }

    /// @dev Whether the token's own answer was good shows in the balances that are looked at afterwards.
    function _transfer(address safe, address token, address to, uint256 amount) private {
        bytes memory transfer = abi.encodeCall(IERC20.transfer, (to, amount));
        if (!ISafe(safe).execTransactionFromModule(token, 0, transfer, CALL)) revert DrawRefused();
    }

    /// @dev The cap less the priority fee, judged by the transaction's gas limit as far as a contract sees it: what is left,
    /// and what call data costs. Not the few thousand that the module has spent by now, nor an access list (2,400 gas an
    /// address, 1,900 a slot) or authorisations of EIP-7702 (25,000 each). Only simulations have a gas price below the base fee.
    function _bidCapLeft(uint256 bidCap) private view returns (uint256) {
        if (tx.gasprice <= block.basefee) return bidCap;
        uint256 gasLimit = gasleft() + INTRINSIC_GAS + msg.data.length * GAS_PER_CALLDATA_BYTE;
        uint256 fee = (tx.gasprice - block.basefee) * gasLimit;
        if (fee > bidCap) revert PriorityFeeAboveCap(fee, bidCap);
        return bidCap - fee;
    }
}
