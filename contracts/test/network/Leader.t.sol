// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IExecutionLedger} from "../../src/interfaces/IExecutionLedger.sol";
import {INetworkParameters, Parameter} from "../../src/interfaces/INetworkParameters.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";

/// A cheat code of forge that its standard library of this version does not name.
interface IColdStorage {
    function cool(address account) external;
}

/// Who leads a block: one entry, by stake, at a cost that does not grow.
contract LeaderTest is NetworkTest {
    uint256 private constant NEXT = EPOCH + 1;

    function _enter(uint256 operators, uint256 seed) private {
        for (uint256 i = 0; i < operators; ++i) {
            Person memory person = _person(string.concat("operator ", vm.toString(i)));
            _join(person, 100 ether + uint256(keccak256(abi.encode(seed, i))) % 10_000 ether);
            _checkIn(person, NEXT);
        }
    }

    function test_exactly_one_entry_leads_each_block(uint256 operators, bytes32 mixHash) public {
        operators = bound(operators, 1, 12);
        _enter(operators, uint256(mixHash));
        _startEpoch(NEXT, mixHash);
        for (uint256 b = NEXT * LENGTH; b < (NEXT + 1) * LENGTH; b += 7) {
            uint256 draw = uint256(keccak256(abi.encode(mixHash, b))) % ledger.epochAt(NEXT).totalStake;
            assertEq(ledger.drawOf(b), draw, "r(b)");
            (uint256 leading, address operator) = _leader(b);
            for (uint256 i = 0; i < operators + 2; ++i) {
                if (i != leading) vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.NotLeader.selector, i));
                assertEq(ledger.leaderOf(b, i), i == leading ? operator : address(0), "leader");
            }
        }
    }

    /// With stakes of a wei every draw lies on a border: it is the entry's that begins there.
    function test_a_draw_on_a_border_is_the_next_entrys() public {
        vm.mockCall(
            address(parameters), abi.encodeCall(INetworkParameters.valueOf, (Parameter.MinStake)), abi.encode(1)
        );
        Person[3] memory people = [alice, bob, carol];
        for (uint256 i = 0; i < 3; ++i) {
            _join(people[i], 1);
            _checkIn(people[i], NEXT);
        }
        _startEpoch(NEXT, keccak256("mix"));
        uint256[3] memory turns;
        for (uint256 b = NEXT * LENGTH; b < (NEXT + 1) * LENGTH; ++b) {
            uint256 draw = ledger.drawOf(b);
            assertEq(ledger.leaderOf(b, draw), people[draw].account, "leader");
            ++turns[draw];
        }
        assertTrue(turns[0] > 0 && turns[1] > 0 && turns[2] > 0, "all borders");
    }

    function test_turns_go_by_stake() public {
        _join(alice, 300 ether);
        _join(bob, 100 ether);
        _checkIn(alice, NEXT);
        _checkIn(bob, NEXT);
        uint256 turns;
        for (uint256 i = 0; i < 40; ++i) {
            uint256 before = vm.snapshotState();
            _startEpoch(NEXT, keccak256(abi.encode(i)));
            for (uint256 b = NEXT * LENGTH; b < (NEXT + 1) * LENGTH; ++b) {
                (, address operator) = _leader(b);
                if (operator == alice.account) ++turns;
            }
            vm.revertToState(before);
            if (i == 0) assertGt(turns, 0, "alice had a turn");
        }
        assertApproxEqAbs(turns, 900, 60, "three quarters of 1,200 turns");
    }

    function test_an_epoch_without_a_seed_has_no_leader() public {
        _enter(1, 1);
        _goTo(NEXT * LENGTH);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.NotRolled.selector, NEXT));
        ledger.leaderOf(block.number, 0);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.NotRolled.selector, NEXT));
        ledger.drawOf(block.number);
    }

    /// Gas of one leader check from cold storage, for an entry in the middle.
    function _gasWith(uint256 operators) private returns (uint256 gas) {
        uint256 before = vm.snapshotState();
        _enter(operators, 1);
        _startEpoch(NEXT, keccak256("mix"));
        uint256 b = NEXT * LENGTH;
        (uint256 index,) = _leader(b);
        while (index == 0) (index,) = _leader(++b);
        IColdStorage(address(vm)).cool(address(ledger));
        gas = this.gasOfCheck(b, index);
        vm.revertToState(before);
    }

    /// In a frame of its own: what memory costs there does not depend on what came before.
    function gasOfCheck(uint256 blockNumber, uint256 index) external view returns (uint256 gas) {
        gas = gasleft();
        ledger.leaderOf(blockNumber, index);
        gas -= gasleft();
    }

    function test_the_check_costs_the_same_with_10_and_with_1000_operators() public {
        uint256 ten = _gasWith(10);
        uint256 thousand = _gasWith(1_000);
        emit log_named_uint("gas of the leader check", thousand);
        assertEq(thousand, ten, "gas");
        assertLt(thousand, 15_000, "four slots");
    }
}
