// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {NetworkHandler} from "./NetworkHandler.sol";

/// The numbered properties of docs/contracts.md, after any sequence of what `NetworkHandler` does.
/// forge-config: default.invariant.runs = 24
/// forge-config: default.invariant.depth = 250
/// forge-config: long.invariant.runs = 72
/// forge-config: long.invariant.depth = 250
contract NetworkInvariants is Test {
    NetworkHandler private handler;

    function setUp() public {
        handler = new NetworkHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](28);
        selectors[0] = handler.wait.selector;
        selectors[1] = handler.mint.selector;
        selectors[2] = handler.stakeMore.selector;
        selectors[3] = handler.requestUnstake.selector;
        selectors[4] = handler.completeUnstake.selector;
        selectors[5] = handler.rotate.selector;
        selectors[6] = handler.delegate.selector;
        selectors[7] = handler.checkIn.selector;
        selectors[8] = handler.nextEpoch.selector;
        selectors[9] = handler.execute.selector;
        selectors[10] = handler.report.selector;
        selectors[11] = handler.reportInnocent.selector;
        selectors[12] = handler.endEscrow.selector;
        selectors[13] = handler.govern.selector;
        selectors[14] = handler.usurp.selector;
        selectors[15] = handler.fundStream.selector;
        selectors[16] = handler.rollStream.selector;
        selectors[17] = handler.claimStream.selector;
        selectors[18] = handler.carry.selector;
        selectors[19] = handler.settleAlert.selector;
        selectors[20] = handler.claimWork.selector;
        selectors[21] = handler.guardianPauses.selector;
        selectors[22] = handler.stakePauses.selector;
        selectors[23] = handler.supportOther.selector;
        selectors[24] = handler.governanceReleases.selector;
        selectors[25] = handler.fundWork.selector;
        selectors[26] = handler.leaveQueued.selector;
        selectors[27] = handler.leaveForDays.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_P1_the_supply_stays_below_its_cap() public view {
        handler.assertSupply();
    }

    function invariant_P2_every_stake_is_backed() public view {
        handler.assertBacked();
    }

    function invariant_P3_leaving_stake_is_slashed_in_full() public view {
        assertEq(handler.escaped(), 0, "P3: stake that escaped");
    }

    function invariant_P4_votes_are_active_stake() public view {
        handler.assertVotes();
    }

    function invariant_P5_exits_are_not_refused() public view {
        assertEq(handler.blockedExits(), 0, "P5: exits that were refused");
    }

    function invariant_P6_an_offence_is_punished_once() public view {
        assertEq(handler.repeatedSlashes(), 0, "P6: offences that were punished again");
    }

    function invariant_P7_at_most_a_tenth_is_lost_in_30_days() public view {
        assertEq(handler.excessiveLosses(), 0, "P7: losses above a tenth");
    }

    function invariant_P8_nothing_is_slashed_without_two_signatures() public view {
        assertEq(handler.unprovenSlashes(), 0, "P8: slashes without proof");
    }

    function invariant_P9_only_the_leader_executes_in_its_block() public view {
        assertEq(handler.intrusions(), 0, "P9: executions out of turn");
    }

    function invariant_P10_every_finder_is_paid() public view {
        assertEq(handler.unpaid(), 0, "P10: finders that were not paid");
        assertEq(handler.resettled(), 0, "P10: orders that were settled twice");
    }

    function invariant_P11_the_stream_pays_what_was_funded() public view {
        handler.assertStream();
    }

    function invariant_P12_a_weeks_claims_stay_within_its_pot() public view {
        handler.assertWork();
    }

    function invariant_P13_only_the_governor_governs_and_within_bounds() public view {
        handler.assertGoverned();
    }

    function invariant_P20_the_brake_never_stops_an_exit() public view {
        assertEq(handler.blockedByBrake(), 0, "P20: exits and payments that the brake stopped");
    }

    function invariant_P21_at_most_ten_paused_days_in_thirty() public view {
        handler.assertBudget();
    }

    /// What the handler does is no chain of refusals.
    function test_the_handler_acts() public {
        handler.nextEpoch(1);
        uint256 refusals = handler.refusals();
        for (uint256 how = 1; how < 6; ++how) {
            handler.execute(1, 1 ether, how, 6_000);
        }
        assertEq(handler.executions(), 0, "executions out of turn, or unpaid");
        handler.execute(1, 1 ether, 0, 6_000);
        handler.execute(1, 1 ether, 7, 6_000); // its answer is too long, and nobody reads it
        assertEq(handler.executions(), 2, "executions");
        assertEq(handler.refusals(), refusals + 5, "refusals");
        handler.execute(1, 1 ether, 6, 6_000); // what it tries in the middle is refused
        assertEq(handler.executions(), 3, "executions in a token that calls back");
        assertEq(handler.refusals(), refusals + 6, "what it tried");
        handler.wait(1 days);
        handler.report(1, 1, true);
        handler.reportInnocent(2, 0);
        assertEq(handler.slashes(), 1, "slashes");
        handler.govern(1, 200);
        assertEq(handler.decisions(), 1, "decisions");
        handler.leaveQueued(200);
        assertTrue(handler.queued() != 0, "a decision that waits");
        handler.settleAlert(0, 1 ether);
        uint256 week = handler.lastWeek() + 1;
        handler.wait(4 days);
        handler.wait(4 days);
        handler.claimWork(0);
        assertGt(handler.claimedOfWeek(week), 0, "claims");
        handler.fundWork(1 ether);
        week = handler.lastWeek() + 1;
        handler.wait(4 days);
        handler.wait(4 days);
        handler.carry();
        assertEq(handler.potBy(week), 0, "carried");
        handler.assertWork();
        handler.stakePauses(0);
        assertEq(handler.pauses(), 1, "pauses");
        handler.requestUnstake(3, 1 ether);
        handler.completeUnstake(3);
        assertEq(handler.exits(), 1, "exits");
        handler.leaveForDays(3, 1 ether);
        assertEq(handler.emptyDays(), 3, "days on which nobody was staked");
        handler.assertStream();
    }

    function afterInvariant() public {
        emit log_named_uint("executions", handler.executions());
        emit log_named_uint("slashes", handler.slashes());
        emit log_named_uint("exits", handler.exits());
        emit log_named_uint("days on which nobody was staked", handler.emptyDays());
        emit log_named_uint("decisions", handler.decisions());
        emit log_named_uint("pauses", handler.pauses());
        emit log_named_uint("refusals", handler.refusals());
    }
}
