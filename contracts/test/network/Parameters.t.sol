// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NetworkParameters} from "../../src/NetworkParameters.sol";
import {INetworkParameters, Parameter} from "../../src/interfaces/INetworkParameters.sol";
import {NetworkTest} from "../base/NetworkTest.sol";

/// What governance sets, within bounds, and takes out of use.
contract ParametersTest is NetworkTest {
    function test_governance_sets_within_bounds(uint8 which, uint256 value) public {
        Parameter parameter = Parameter(which % 3);
        (uint256 minimum, uint256 maximum) = parameters.boundsOf(parameter);
        value = bound(value, minimum, maximum);
        vm.prank(address(timelock));
        vm.expectEmit(address(parameters));
        emit INetworkParameters.ParameterSet(parameter, value);
        parameters.set(parameter, value);
        assertEq(parameters.valueOf(parameter), value, "value");
    }

    function test_the_bounds_themselves_are_within_them() public {
        vm.startPrank(address(timelock));
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 minimum, uint256 maximum) = parameters.boundsOf(Parameter(i));
            parameters.set(Parameter(i), minimum);
            assertEq(parameters.valueOf(Parameter(i)), minimum, "least");
            parameters.set(Parameter(i), maximum);
            assertEq(parameters.valueOf(Parameter(i)), maximum, "most");
        }
    }

    function test_nobody_sets_outside_of_them(uint8 which, uint256 value) public {
        Parameter parameter = Parameter(which % 3);
        (uint256 minimum, uint256 maximum) = parameters.boundsOf(parameter);
        value = value % 2 == 0 && minimum != 0 ? bound(value, 0, minimum - 1) : bound(value, maximum + 1, 1 << 255);
        vm.prank(address(timelock));
        vm.expectRevert(
            abi.encodeWithSelector(INetworkParameters.OutOfBounds.selector, parameter, value, minimum, maximum)
        );
        parameters.set(parameter, value);
    }

    function test_what_is_deployed_is_within_them() public {
        vm.expectPartialRevert(INetworkParameters.OutOfBounds.selector);
        new NetworkParameters(address(timelock), 0, 0, 5_000);
        vm.expectPartialRevert(INetworkParameters.OutOfBounds.selector);
        new NetworkParameters(address(timelock), 1 ether, 501, 5_000);
        vm.expectPartialRevert(INetworkParameters.OutOfBounds.selector);
        new NetworkParameters(address(timelock), 1 ether, 0, 3_333);
        vm.expectRevert(INetworkParameters.ZeroAddress.selector);
        new NetworkParameters(address(0), 1 ether, 0, 5_000);
    }

    function test_governance_removes_for_ever(bytes32 subject) public {
        vm.assume(subject != 0);
        vm.startPrank(address(timelock));
        assertFalse(parameters.isRemoved(subject), "before");
        parameters.remove(subject);
        assertTrue(parameters.isRemoved(subject), "after");
        vm.expectRevert(abi.encodeWithSelector(INetworkParameters.NothingToRemove.selector, subject));
        parameters.remove(subject);
        vm.expectRevert(abi.encodeWithSelector(INetworkParameters.NothingToRemove.selector, bytes32(0)));
        parameters.remove(0);
    }

    function test_of_many_subjects_one_that_is_removed_counts(bytes32 removed, bytes32 other, bool isLast) public {
        vm.assume(removed != 0 && other != removed);
        bytes32[] memory subjects = new bytes32[](2);
        (subjects[0], subjects[1]) = isLast ? (other, removed) : (removed, other);
        assertFalse(parameters.isAnyRemoved(subjects), "before");
        vm.prank(address(timelock));
        parameters.remove(removed);
        assertTrue(parameters.isAnyRemoved(subjects), "after");
        subjects[isLast ? 1 : 0] = other;
        assertFalse(parameters.isAnyRemoved(subjects), "others");
        assertFalse(parameters.isAnyRemoved(new bytes32[](0)), "none");
    }

    function test_that_nothing_was_removed_is_seen_at_one_look(uint8 many) public {
        vm.record();
        assertFalse(parameters.isAnyRemoved(new bytes32[](many)), "removed");
        (bytes32[] memory reads,) = vm.accesses(address(parameters));
        assertEq(reads.length, 1, "whether anything was");
    }

    function test_nobody_else_sets_or_removes(address who) public {
        vm.assume(who != address(timelock));
        vm.startPrank(who);
        vm.expectRevert(INetworkParameters.NotGovernance.selector);
        parameters.set(Parameter.MinStake, 1 ether);
        vm.expectRevert(INetworkParameters.NotGovernance.selector);
        parameters.remove(bytes32(uint256(1)));
    }
}
