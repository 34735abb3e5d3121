// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NodeStaking} from "../../src/NodeStaking.sol";
import {HftToken} from "../../src/HftToken.sol";
import {ExecutionLedger} from "../../src/ExecutionLedger.sol";
import {NetworkTest} from "../base/NetworkTest.sol";

/// Mallory has alice's hot key, and wants her stake, or the network's say. Continues `Theft.t.sol`: the numbers, the
/// messages and the patches are of the same list.
contract NetworkTheftTest is NetworkTest {
    function setUp() public override {
        super.setUp();
        _join(alice, 1_000 ether);
        _join(bob, 1_000 ether);
        _pass(1 days);
    }

    function _as(address who, address target, bytes memory call) private returns (bool done) {
        vm.prank(who);
        (done,) = target.call(call);
    }

    function test_T28_names_an_executor_of_her_own_without_a_vote() public {
        _as(alice.key, address(ledger), abi.encodeCall(ExecutionLedger.setExecutor, (mallory, true)));
        assertFalse(ledger.isExecutor(mallory), "T28: it may settle orders");
    }

    function test_T29_mints_herself_the_votes_that_she_lacks() public {
        _as(alice.key, address(token), abi.encodeCall(HftToken.mint, (mallory, 1_000_000 ether)));
        assertEq(token.balanceOf(mallory), 0, "T29: it was minted");
    }

    function test_T30_slashes_the_operator_and_is_the_reporter_who_is_paid() public {
        _as(alice.key, address(staking), abi.encodeCall(NodeStaking.slash, (alice.account, 1_000 ether)));
        _as(alice.key, address(staking), abi.encodeCall(NodeStaking.endEscrow, (mallory, 1_000 ether, 0)));
        assertEq(token.balanceOf(mallory), 0, "T30: the stake was paid out to her");
    }

    function test_T31_has_the_timelock_do_it_without_the_governor() public {
        bytes memory call = abi.encodeCall(ExecutionLedger.setExecutor, (mallory, true));
        _as(
            alice.key,
            address(timelock),
            abi.encodeCall(timelock.schedule, (address(ledger), 0, call, bytes32(0), bytes32(0), TIMELOCK_DELAY))
        );
        _pass(TIMELOCK_DELAY);
        _as(mallory, address(timelock), abi.encodeCall(timelock.execute, (address(ledger), 0, call, 0, 0)));
        assertFalse(ledger.isExecutor(mallory), "T31: it was carried out");
    }

    function test_T32_votes_with_stake_that_she_has_only_borrowed() public {
        bytes memory call = abi.encodeCall(ExecutionLedger.setExecutor, (mallory, true));
        uint256 id = _propose(bob.account, address(ledger), call, "hers");
        skip(VOTING_DELAY + 1);
        _join(carol, 10_000_000 ether); // lent to her for this block
        vm.prank(carol.account);
        governor.castVote(id, 1);
        (, uint256 votesFor,) = governor.proposalVotes(id);
        assertEq(votesFor, 0, "T32: borrowed stake was counted");
    }

    function test_T33_rotates_the_key_of_another_account_with_the_one_she_has() public {
        (address hers, uint256 secret) = makeAddrAndKey("a key of hers");
        bytes memory binding = _binding(alice.account, secret);
        _as(alice.key, address(staking), abi.encodeCall(NodeStaking.setHotKey, (hers, binding)));
        assertEq(staking.operatorAt(alice.account).hotKey, alice.key, "T33: the key is hers for good");
    }
}
