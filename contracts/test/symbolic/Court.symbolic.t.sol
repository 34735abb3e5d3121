// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {INodeStaking, Operator} from "../../src/interfaces/INodeStaking.sol";
import {Evidence} from "../../src/interfaces/ISlashingCourt.sol";
import {SymbolicTest} from "./SymbolicTest.sol";

/// @title A registry of one operator, in which every signature is good
contract OneOperator {
    uint256 private constant WINDOW = 30 days;

    Operator private _operator;
    uint256[] private _taken;
    uint256[] private _takenAt;

    function set(uint96 active) external {
        _operator.active = active;
    }

    function requireSigned(address, bytes32, bytes calldata, uint256, uint256) external pure returns (bytes32) {
        return 0;
    }

    function operatorAt(address) external view returns (Operator memory) {
        return _operator;
    }

    function slash(address, uint256 amount) external {
        _operator.active -= uint96(amount);
        _taken.push(amount);
        _takenAt.push(block.timestamp);
    }

    /// What was taken in the 30 days up to now: this registry's own book, not the court's.
    function lost() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _taken.length; ++i) {
            if (block.timestamp - _takenAt[i] < WINDOW) sum += _taken[i];
        }
    }

    function COURT() external view returns (address) {
        return msg.sender;
    }

    function UNBONDING() external pure returns (uint48) {
        return 21 days;
    }
}

/// P7 for all inputs within the bounds that the check names.
contract CourtSymbolic is SymbolicTest {
    address private constant ALICE = address(0xa11ce);
    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant MAX_LOSS_BPS = 1_000;
    uint8 private constant DOUBLE_ACCEPT = 1;
    uint8 private constant CONTRADICTION = 2;

    OneOperator private registry;
    SlashingCourt private court;

    function setUp() public {
        registry = new OneOperator();
        court = new SlashingCourt(INodeStaking(address(registry)), address(this));
        vm.warp(2_000_000_000);
        vm.roll(1000);
    }

    /// P7, with any stake at a first report, any time between, and any stake at a second one: so with any loss already
    /// counted, beside any stake.
    function check_P7_whatever_was_lost_and_is_staked(uint96 stake, uint32 wait, uint96 again) public {
        registry.set(stake);
        _report(1, true);
        vm.warp(block.timestamp + wait);
        registry.set(again);
        _report(2, false);
    }

    /// P7, with three contradictions at any times, which without a limit would cost more than 14 percent.
    function check_P7_a_third_report_finds_what_is_left(uint32 wait, uint32 again) public {
        registry.set(1_000_000);
        _report(1, false);
        vm.warp(block.timestamp + wait);
        _report(2, false);
        vm.warp(block.timestamp + again);
        _report(3, false);
    }

    function _report(uint256 number, bool isLight) private {
        bytes memory a;
        bytes memory b;
        if (isLight) {
            a = abi.encode(uint256(1), number, 999, 999, block.timestamp);
            b = abi.encode(uint256(2), number, 999, 999, block.timestamp);
        } else {
            a = abi.encode(number, uint256(7), 1, 999, block.timestamp);
            b = abi.encode(number, uint256(7), 2, 999, block.timestamp);
        }
        uint256 limit = (registry.operatorAt(ALICE).active + registry.lost()) * MAX_LOSS_BPS / FULL_BPS;
        court.report(Evidence(isLight ? DOUBLE_ACCEPT : CONTRADICTION, ALICE, a, "", b, ""));
        assert(registry.lost() <= limit);
    }
}
