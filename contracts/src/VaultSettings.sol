// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IArbExecutor} from "./interfaces/IArbExecutor.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {Change, ChangeKind, Inventory, IVaultModule, Market, TokenLimit, Vault} from "./interfaces/IVaultModule.sol";
import {IConcentratedOracle} from "./interfaces/external/IConcentratedOracle.sol";
import {IPriceFeed} from "./interfaces/external/IPriceFeed.sol";
import {ISafe} from "./interfaces/external/ISafe.sol";
import {Bucket, Level} from "./libraries/Bucket.sol";

/// @title What a vault's owners have set, and how that is changed
abstract contract VaultSettings is IVaultModule {
    using Bucket for Level;

    struct Limit {
        uint128 maxDraw;
        bool pinned;
    }

    struct Deposits {
        uint96 cap;
        uint64 day;
        uint96 sent;
    }

    struct Levels {
        Level losses;
        Level turnover;
    }

    /// @inheritdoc IVaultModule
    uint256 public constant LOOSENING_DELAY = 48 hours;
    /// @inheritdoc IVaultModule
    uint256 public constant ENACTMENT_WINDOW = 7 days;

    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant ADDRESS_BITS = 160;
    uint8 private constant MAX_DECIMALS = 36;

    INetworkParameters private immutable PARAMETERS;

    mapping(address safe => Vault) internal _vaults;
    mapping(address safe => mapping(address token => Limit)) internal _limits;
    mapping(address safe => Inventory) internal _inventories;
    mapping(address safe => mapping(address token => Market)) internal _markets;
    mapping(address safe => Levels) internal _levels;
    mapping(address safe => mapping(address exchange => mapping(address token => Deposits))) internal _deposits;
    mapping(bytes32 proposal => uint256) private _dueAt;

    constructor(INetworkParameters parameters) {
        if (address(parameters) == address(0)) revert ZeroAddress();
        PARAMETERS = parameters;
    }

    // Settings

    /// @inheritdoc IVaultModule
    function open(address operator, IArbExecutor executor, uint256 bidCap, TokenLimit[] calldata limits) external {
        if (_vaults[msg.sender].opened) revert AlreadyOpened();
        _requireEnabled(msg.sender);
        _vaults[msg.sender].opened = true;
        emit Opened(msg.sender);
        _loosen(msg.sender, Change(ChangeKind.Operator, operator, 0));
        _loosen(msg.sender, Change(ChangeKind.Executor, address(executor), 0));
        _loosen(msg.sender, Change(ChangeKind.BidCap, address(0), bidCap));
        for (uint256 i = 0; i < limits.length; ++i) {
            _loosen(msg.sender, Change(ChangeKind.Token, limits[i].token, limits[i].maxDraw));
        }
    }

    /// @inheritdoc IVaultModule
    function tighten(address safe, Change calldata change) external {
        Vault storage vault = _vaults[safe];
        if (!vault.opened) revert NotOpened();
        bool isGuardian = msg.sender == vault.operator || msg.sender == safe || ISafe(safe).isOwner(msg.sender);
        if (!isGuardian && !_isRemoval(safe, change)) revert NotGuardian();
        if (!_isTighter(safe, change)) revert NotTighter();
        ++vault.generation;
        _change(safe, change);
    }

    /// @inheritdoc IVaultModule
    function propose(Change calldata change) external {
        if (!_vaults[msg.sender].opened) revert NotOpened();
        _requireWellFormed(msg.sender, change);
        _requireInUse(change);
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
        _loosen(safe, change);
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

    /// @inheritdoc IVaultModule
    function inventoryOf(address safe) external view returns (Inventory memory) {
        return _inventories[safe];
    }

    /// @inheritdoc IVaultModule
    function marketOf(address safe, address token) external view returns (Market memory) {
        return _markets[safe][token];
    }

    /// @inheritdoc IVaultModule
    function levelsOf(address safe) external view returns (uint256 losses, uint256 turnover) {
        Inventory storage inventory = _inventories[safe];
        losses = _levels[safe].losses.level(inventory.maxLoss);
        turnover = _levels[safe].turnover.level(inventory.maxTurnover);
    }

    /// @inheritdoc IVaultModule
    function depositOf(address safe, address exchange, address token)
        external
        view
        returns (uint96 cap, uint96 sentToday)
    {
        Deposits memory deposits = _deposits[safe][exchange][token];
        return (deposits.cap, deposits.day == block.timestamp / 1 days ? deposits.sent : 0);
    }

    /// @dev What governance has taken out of use is not pinned.
    function _loosen(address safe, Change memory change) private {
        _requireInUse(change);
        _change(safe, change);
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
        } else if (change.kind == ChangeKind.Executor) {
            vault.executor = IArbExecutor(change.subject);
        } else {
            _changeInventory(safe, change);
        }
        emit Changed(safe, change.kind, change.subject, change.value, msg.sender);
    }

    function _changeInventory(address safe, Change memory change) private {
        Inventory storage inventory = _inventories[safe];
        Market storage market = _markets[safe][change.subject];
        if (change.kind == ChangeKind.Unit) {
            _changeUnit(safe, change.subject);
        } else if (change.kind == ChangeKind.LossBand) {
            inventory.lossBand = uint16(change.value);
        } else if (change.kind == ChangeKind.Agreement) {
            inventory.agreement = uint16(change.value);
        } else if (change.kind == ChangeKind.MaxLoss) {
            inventory.maxLoss = uint128(change.value);
        } else if (change.kind == ChangeKind.MaxTurnover) {
            inventory.maxTurnover = uint128(change.value);
        } else if (change.kind == ChangeKind.Feed) {
            (address feed, uint256 maxAge) = _unpacked(change.value);
            // well-formed, so at most 32 bits
            // forge-lint: disable-next-line(unsafe-typecast)
            (market.feed, market.maxAge) = (IPriceFeed(feed), uint32(maxAge));
            market.decimals = feed == address(0) ? 0 : _decimalsOf(feed) + _decimalsOf(change.subject);
        } else if (change.kind == ChangeKind.Pool) {
            market.pool = IConcentratedOracle(address(uint160(change.value)));
        } else if (change.kind == ChangeKind.HeldAtLeast) {
            market.heldAtLeast = uint128(change.value);
        } else if (change.kind == ChangeKind.HeldAtMost) {
            market.heldAtMost = uint128(change.value);
        } else {
            (address token, uint256 cap) = _unpacked(change.value);
            // of 256 bits 160 are gone
            // forge-lint: disable-next-line(unsafe-typecast)
            _deposits[safe][change.subject][token].cap = uint96(cap);
        }
    }

    /// @dev None takes the limits along, which count in it. A first one begins with empty buckets: what was in them has
    /// leaked out in the 48 hours before it.
    function _changeUnit(address safe, address token) private {
        if (token == address(0)) {
            delete _inventories[safe];
        } else {
            (_inventories[safe].unit, _inventories[safe].decimals) = (token, _decimalsOf(token));
            delete _levels[safe];
        }
    }

    /// @dev Whether the change takes out of the vault what governance has taken out of use: that is anybody's to do.
    function _isRemoval(address safe, Change calldata change) private view returns (bool) {
        if (change.kind == ChangeKind.Unpin) return _limits[safe][change.subject].pinned && _isRemoved(change.subject);
        return change.kind == ChangeKind.Executor && _isRemoved(address(_vaults[safe].executor));
    }

    function _isRemoved(address subject) private view returns (bool) {
        return PARAMETERS.isRemoved(bytes32(uint256(uint160(subject))));
    }

    function _requireInUse(Change memory change) private view {
        bool isUse = change.kind == ChangeKind.Token || change.kind == ChangeKind.Executor;
        if (isUse && _isRemoved(change.subject)) revert OutOfUse(change.subject);
    }

    function _isTighter(address safe, Change calldata change) private view returns (bool) {
        if (change.kind == ChangeKind.Pause) return change.value == 1;
        if (change.kind == ChangeKind.BidCap) return change.value < _vaults[safe].bidCap;
        if (change.kind == ChangeKind.Unpin) return true;
        if (change.kind == ChangeKind.Token) {
            Limit memory limit = _limits[safe][change.subject];
            return limit.pinned && change.value < limit.maxDraw;
        }
        if (change.kind <= ChangeKind.Unit) return change.subject == address(0); // none
        return _isTighterInventory(safe, change);
    }

    function _isTighterInventory(address safe, Change calldata change) private view returns (bool) {
        Inventory storage inventory = _inventories[safe];
        Market storage market = _markets[safe][change.subject];
        if (change.kind == ChangeKind.LossBand) return change.value < inventory.lossBand;
        if (change.kind == ChangeKind.Agreement) return change.value < inventory.agreement;
        if (change.kind == ChangeKind.MaxLoss) return change.value < inventory.maxLoss;
        if (change.kind == ChangeKind.MaxTurnover) return change.value < inventory.maxTurnover;
        if (change.kind == ChangeKind.Feed) {
            (address feed, uint256 maxAge) = _unpacked(change.value);
            return feed == address(0) || (feed == address(market.feed) && maxAge < market.maxAge);
        }
        if (change.kind == ChangeKind.Pool) return change.value == 0;
        if (change.kind == ChangeKind.HeldAtLeast) return change.value > market.heldAtLeast;
        if (change.kind == ChangeKind.HeldAtMost) return change.value < market.heldAtMost;
        (address token, uint256 cap) = _unpacked(change.value);
        return cap < _deposits[safe][change.subject][token].cap;
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
            isGood = change.value <= type(uint128).max && _isToken(safe, change.subject);
        } else if (kind == ChangeKind.Executor) {
            bool isContract = change.subject != safe && change.subject.code.length != 0;
            isGood = change.value == 0 && (isContract || change.subject == address(0));
        } else if (kind <= ChangeKind.Operator) {
            isGood = change.value == 0;
        } else {
            isGood = _isWellFormedInventory(safe, change);
        }
        if (!isGood) revert MalformedChange();
    }

    function _isWellFormedInventory(address safe, Change memory change) private view returns (bool) {
        ChangeKind kind = change.kind;
        if (kind == ChangeKind.Unit) {
            if (change.subject == address(0)) return change.value == 0;
            bool isFirst = _inventories[safe].unit == address(0);
            return change.value == 0 && isFirst && _isToken(safe, change.subject) && _decimalsOf(change.subject) != 0;
        }
        if (kind == ChangeKind.LossBand || kind == ChangeKind.Agreement) {
            return change.subject == address(0) && change.value <= FULL_BPS;
        }
        if (kind == ChangeKind.MaxLoss || kind == ChangeKind.MaxTurnover) {
            return change.subject == address(0) && change.value <= type(uint128).max;
        }
        if (kind == ChangeKind.HeldAtLeast || kind == ChangeKind.HeldAtMost) return change.value <= type(uint128).max;
        (address named, uint256 rest) = _unpacked(change.value);
        if (kind == ChangeKind.Deposit) {
            return change.subject != address(0) && change.subject != safe && _isToken(safe, named);
        }
        if (named == address(0)) return rest == 0;
        if (kind == ChangeKind.Pool) return rest == 0 && named.code.length != 0;
        return rest <= type(uint32).max && _decimalsOf(named) != 0 && _decimalsOf(change.subject) != 0;
    }

    function _proposal(address safe, Change calldata change) private view returns (bytes32) {
        return keccak256(abi.encode(safe, _vaults[safe].generation, change));
    }

    function _requireEnabled(address safe) private view {
        if (safe.code.length == 0 || !ISafe(safe).isModuleEnabled(address(this))) revert ModuleNotEnabled();
    }

    function _isToken(address safe, address token) private view returns (bool) {
        return token != safe && token.code.length != 0;
    }

    /// @dev 0 for what does not say them, or says more than can be reckoned with.
    function _decimalsOf(address subject) private view returns (uint8) {
        if (subject.code.length == 0) return 0;
        try IERC20Metadata(subject).decimals() returns (uint8 decimals) {
            return decimals <= MAX_DECIMALS ? decimals : 0;
        } catch {
            return 0;
        }
    }

    /// @dev An address, and what stands above its bits.
    function _unpacked(uint256 value) private pure returns (address subject, uint256 rest) {
        // cutting is what this does
        // forge-lint: disable-next-line(unsafe-typecast)
        return (address(uint160(value)), value >> ADDRESS_BITS);
    }
}
