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
        bytes4[] memory selectors = new bytes4[](25);
        selectors[0] = NetworkHandler.wait.selector;
        selectors[1] = NetworkHandler.mint.selector;
        selectors[2] = NetworkHandler.stakeMore.selector;
        selectors[3] = NetworkHandler.requestUnstake.selector;
        selectors[4] = NetworkHandler.completeUnstake.selector;
        selectors[5] = NetworkHandler.rotate.selector;
        selectors[6] = NetworkHandler.delegate.selector;
        selectors[7] = NetworkHandler.checkIn.selector;
        selectors[8] = NetworkHandler.nextEpoch.selector;
        selectors[9] = NetworkHandler.execute.selector;
        selectors[10] = NetworkHandler.report.selector;
        selectors[11] = NetworkHandler.reportInnocent.selector;
        selectors[12] = NetworkHandler.endEscrow.selector;
        selectors[13] = NetworkHandler.govern.selector;
        selectors[14] = NetworkHandler.usurp.selector;
        selectors[15] = NetworkHandler.fundStream.selector;
        selectors[16] = NetworkHandler.rollStream.selector;
        selectors[17] = NetworkHandler.claimStream.selector;
        selectors[18] = NetworkHandler.carry.selector;
        selectors[19] = NetworkHandler.settleAlert.selector;
        selectors[20] = NetworkHandler.claimWork.selector;
        selectors[21] = NetworkHandler.guardianPauses.selector;
        selectors[22] = NetworkHandler.stakePauses.selector;
        selectors[23] = NetworkHandler.supportOther.selector;
        selectors[24] = NetworkHandler.governanceReleases.selector;
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
        handler.execute(1, 1 ether, 0);
        assertEq(handler.executions(), 1, "executions");
        handler.execute(1, 1 ether, 1);
        assertEq(handler.executions(), 1, "executions in turn");
        handler.wait(1 days);
        handler.report(1, 1, true);
        handler.reportInnocent(2, 0);
        assertEq(handler.slashes(), 1, "slashes");
        handler.govern(1, 200);
        assertEq(handler.decisions(), 1, "decisions");
        handler.settleAlert(0, 1 ether);
        handler.wait(4 days);
        handler.wait(4 days);
        uint256 week = handler.lastWeek();
        handler.claimWork(0);
        assertGt(handler.claimedOfWeek(week), 0, "claims");
        handler.stakePauses(0);
        assertEq(handler.pauses(), 1, "pauses");
        handler.requestUnstake(3, 1 ether);
        handler.completeUnstake(3);
        assertEq(handler.exits(), 1, "exits");
    }

    function afterInvariant() public {
        emit log_named_uint("executions", handler.executions());
        emit log_named_uint("slashes", handler.slashes());
        emit log_named_uint("exits", handler.exits());
        emit log_named_uint("decisions", handler.decisions());
        emit log_named_uint("pauses", handler.pauses());
        emit log_named_uint("refusals", handler.refusals());
    }
}
