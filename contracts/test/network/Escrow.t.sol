// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISlashingCourt, OffenceState} from "../../src/interfaces/ISlashingCourt.sol";
import {StakingTest} from "../base/StakingTest.sol";

/// What becomes of a penalty: a tenth to the reporter and the rest burned, or back.
contract EscrowTest is StakingTest {
    uint256 private constant STAKE = 1_000 ether;
    address private timelock = makeAddr("timelock");

    function _offence(uint256 staked) private returns (bytes32) {
        _join(alice, staked);
        _pass(1 days);
        return _report(_doubleAccept(alice, 1));
    }

    function test_after_12_days_the_reporter_is_paid_and_the_rest_burned(uint256 staked) public {
        staked = bound(staked, 100, SUPPLY);
        bytes32 id = _offence(staked);
        uint256 settleAt = block.timestamp + 12 days;
        skip(12 days - 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.TooEarly.selector, settleAt));
        court.settle(id);
        skip(1);
        uint256 penalty = staked / 100;
        court.settle(id);
        assertEq(token.balanceOf(reporter), penalty / 10, "reward");
        assertEq(token.totalSupply(), SUPPLY - (penalty - penalty / 10), "burned");
        assertEq(staking.escrow(), 0, "escrow");
        assertEq(token.balanceOf(address(staking)), staked - penalty, "P2: balance");
        assertTrue(court.offenceAt(id).state == OffenceState.Settled, "state");
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotInEscrow.selector, id));
        court.settle(id);
        vm.prank(timelock);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotInEscrow.selector, id));
        court.cancel(id);
    }

    function test_governance_gives_back_while_it_is_in_escrow(uint256 staked) public {
        staked = bound(staked, 100, SUPPLY);
        bytes32 id = _offence(staked);
        vm.prank(timelock);
        court.cancel(id);
        assertEq(_activeOf(alice), staked, "active");
        assertEq(staking.getVotes(alice.account), staked, "P4");
        assertEq(staking.escrow(), 0, "escrow");
        assertTrue(court.offenceAt(id).state == OffenceState.Cancelled, "state");
        skip(12 days);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotInEscrow.selector, id));
        court.settle(id);
    }

    function test_what_was_given_back_is_not_slashed_again() public {
        bytes32 id = _offence(STAKE);
        vm.prank(timelock);
        court.cancel(id);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.AlreadyReported.selector, id));
        this.reportAgain();
    }

    function reportAgain() external {
        _report(_doubleAccept(alice, 1));
    }

    function test_only_governance_cancels() public {
        bytes32 id = _offence(STAKE);
        vm.prank(mallory);
        vm.expectRevert(ISlashingCourt.NotGovernance.selector);
        court.cancel(id);
        vm.prank(alice.account);
        vm.expectRevert(ISlashingCourt.NotGovernance.selector);
        court.cancel(id);
    }

    function test_what_never_was_cannot_end() public {
        bytes32 id = keccak256("nothing");
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotInEscrow.selector, id));
        court.settle(id);
        vm.prank(timelock);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotInEscrow.selector, id));
        court.cancel(id);
    }
}
