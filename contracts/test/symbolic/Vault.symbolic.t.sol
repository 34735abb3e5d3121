// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NetworkParameters} from "../../src/NetworkParameters.sol";
import {VaultModule} from "../../src/VaultModule.sol";
import {IArbExecutor} from "../../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, TokenLimit} from "../../src/interfaces/IVaultModule.sol";
import {PlainToken} from "../base/PlainToken.sol";
import {SymbolicTest} from "./SymbolicTest.sol";

/// @title What the module asks of a Safe, and no more; the genuine one is in the other tests
contract SymbolicSafe {
    function isModuleEnabled(address) external pure returns (bool) {
        return true;
    }

    function execTransactionFromModule(address to, uint256, bytes calldata data, uint8) external returns (bool done) {
        (done,) = to.call(data);
    }

    function open(VaultModule module, address hotKey, IArbExecutor executor, TokenLimit[] calldata limits) external {
        module.open(hotKey, executor, 0, limits);
    }

    function propose(VaultModule module, Change calldata change) external {
        module.propose(change);
    }
}

/// @title An executor that owes, allows and gives what it is told to, and has what is drawn sent where it is told to
contract SymbolicExecutor {
    address private immutable SAFE;
    uint256 private _owed;
    uint256 private _allowed;
    uint256 private _gift;
    address private _entry;

    constructor(address safe) {
        SAFE = safe;
    }

    function set(uint256 owed, uint256 allowed, uint256 gift, address entry) external {
        (_owed, _allowed, _gift, _entry) = (owed, allowed, gift, entry);
    }

    function entryOf(address, bytes calldata) external view returns (address) {
        return _entry;
    }

    function execute(address, address token, uint256, uint256, bytes calldata) external returns (uint256) {
        return _give(token);
    }

    function trade(address, uint256, address bought, bytes calldata) external returns (uint256) {
        return _give(bought);
    }

    function _give(address token) private returns (uint256) {
        PlainToken(token).transfer(SAFE, _gift);
        PlainToken(token).approve(msg.sender, _allowed);
        return _owed;
    }
}

/// @title A pool and a feed by both of which one token is worth one of the other, at any time
contract OneForOne {
    address public immutable token0;
    address public immutable token1;

    constructor(address a, address b) {
        (token0, token1) = (a, b);
    }

    function decimals() external pure returns (uint8) {
        return 18;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, 1 ether, block.timestamp, block.timestamp, 1);
    }

    function observe(uint32[] calldata) external pure returns (int56[] memory ticks, uint160[] memory) {
        return (new int56[](2), new uint160[](2));
    }
}

/// P14 and P15 for all inputs within the bounds that each check names.
contract VaultSymbolic is SymbolicTest {
    uint256 private constant FUNDS = 1 << 127;
    uint128 private constant MAX_LOSS = 1_000_000;
    uint256 private constant SOLD = 2 * MAX_LOSS;

    SymbolicSafe private safe;
    PlainToken private token;
    PlainToken private unit;
    VaultModule private module;
    SymbolicExecutor private executor;

    function setUp() public {
        vm.warp(1_000_000_000);
        vm.fee(type(uint256).max); // so that there is no priority fee, which P19 is about
        safe = new SymbolicSafe();
        token = new PlainToken("T");
        unit = new PlainToken("U");
        module = new VaultModule(new NetworkParameters(address(1), 1 ether, 0, 5_000));
        executor = new SymbolicExecutor(address(safe));
        TokenLimit[] memory limits = new TokenLimit[](2);
        limits[0] = TokenLimit(address(token), type(uint128).max);
        limits[1] = TokenLimit(address(unit), type(uint128).max);
        safe.open(module, address(this), IArbExecutor(address(executor)), limits);
        token.mint(address(safe), FUNDS);
        token.mint(address(executor), FUNDS);
        unit.mint(address(safe), FUNDS);
        unit.mint(address(executor), FUNDS);
    }

    /// P14, for any executor that keeps, claims, allows and gives whatever it likes, and any place that it names for the
    /// draw: the Safe and itself among them.
    function check_P14_what_was_drawn_is_back(uint128 drawn, uint128 owed, uint128 allowed, uint128 gift, address entry)
        public
    {
        executor.set(owed, allowed, gift, entry);
        module.execute(address(safe), address(token), drawn, "");
        assert(token.balanceOf(address(safe)) >= FUNDS);
    }

    /// P15, for two trades that lose anything up to twice what the bucket holds, at any time of each other. One of them
    /// leaves any level behind, and another one is held against it.
    function check_P15_losses_fit_into_the_bucket(uint64 got, uint32 wait, uint64 gotAgain) public {
        OneForOne market = new OneForOne(address(token), address(unit));
        _inventory(address(market));
        uint256 lost = _trade(got);
        assert(lost <= MAX_LOSS);
        vm.warp(block.timestamp + wait);
        lost += _trade(gotAgain);
        assert(lost <= MAX_LOSS + uint256(MAX_LOSS) * wait / 1 days);
    }

    function _trade(uint256 got) private returns (uint256 lost) {
        executor.set(got, got, 0, address(executor));
        module.trade(address(safe), address(unit), SOLD, address(token), "");
        return SOLD > got ? SOLD - got : 0;
    }

    function _inventory(address market) private {
        Change[7] memory changes = [
            Change(ChangeKind.LossBand, address(0), 10_000),
            Change(ChangeKind.Agreement, address(0), 0),
            Change(ChangeKind.MaxLoss, address(0), MAX_LOSS),
            Change(ChangeKind.MaxTurnover, address(0), type(uint128).max),
            Change(ChangeKind.HeldAtMost, address(token), type(uint128).max),
            Change(ChangeKind.Feed, address(token), (1 << 160) | uint160(market)),
            Change(ChangeKind.Pool, address(token), uint160(market))
        ];
        safe.propose(module, Change(ChangeKind.Unit, address(unit), 0));
        for (uint256 i = 0; i < changes.length; ++i) {
            safe.propose(module, changes[i]);
        }
        vm.warp(block.timestamp + 48 hours);
        module.enact(address(safe), Change(ChangeKind.Unit, address(unit), 0));
        for (uint256 i = 0; i < changes.length; ++i) {
            module.enact(address(safe), changes[i]);
        }
    }
}
