// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {NodeStaking} from "../../src/NodeStaking.sol";
import {IExecutionLedger} from "../../src/interfaces/IExecutionLedger.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {Order, Statements} from "../../src/libraries/Statements.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {OrderRunner} from "../base/OrderRunner.sol";
import {PlainToken} from "../base/PlainToken.sol";
import {Refusals} from "../base/Refusals.sol";
import {Person} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";
import {FeeToken} from "../malicious/FeeToken.sol";

/// Network executions: by the leader, in the block, with the finder paid.
contract OpenTest is NetworkTest {
    using Refusals for NodeStaking;

    uint256 private constant NEXT = EPOCH + 1;
    uint256 private index;
    Person private leader;
    Person private other;
    Person private finder;

    function setUp() public override {
        super.setUp();
        _join(alice, 1_000 ether);
        _join(bob, 1_000 ether);
        _join(carol, 1_000 ether);
        _checkIn(alice, NEXT);
        _checkIn(bob, NEXT);
        _startEpoch(NEXT, keccak256("mix"));
        address account;
        (index, account) = _leader(block.number);
        leader = _personOf(account);
        other = account == alice.account ? bob : alice;
        finder = carol;
    }

    function _now() private view returns (Order memory) {
        return _order(finder, leader.account, block.number);
    }

    function _refused(Order memory order, bytes memory why) private {
        bytes memory signature = _signOrder(finder, order);
        _refused(order, signature, index, leader.key, why);
    }

    function _refused(Order memory order, bytes memory signature, uint256 i, address hotKey, bytes memory why) private {
        vm.expectRevert(why);
        runner.openOnly(order, signature, i, hotKey);
    }

    // Paid

    function test_the_finder_gets_its_share_and_the_stream_the_fee(uint256 net, uint256 bps, uint256 floor) public {
        Order memory order = _now();
        net = bound(net, 0, 1e30);
        order.finderBps = uint16(bound(bps, 0, 10_000));
        order.minFinderWei = uint128(bound(floor, 1, type(uint128).max));
        uint256 share = (net * order.finderBps + 9_999) / 10_000;
        uint256 due = share > order.minFinderWei ? share : order.minFinderWei;
        uint256 fee = net * FEE_BPS / 10_000;
        if (due + fee > net) fee = due >= net ? 0 : net - due;
        bytes memory signature = _signOrder(finder, order);
        weth.mint(address(runner), due > net ? due - net : 0); // what the route itself did not earn
        vm.prank(leader.key);
        (uint256 paid, uint256 charged) = runner.run(order, signature, index, net);
        assertEq(paid, due, "P10: paid");
        assertEq(charged, fee, "fee");
        assertEq(weth.balanceOf(finder.account), due, "P10: arrived");
        assertEq(weth.balanceOf(address(stream)), fee, "the stream's");
        assertEq(weth.balanceOf(address(ledger)), 0, "the ledger keeps nothing");
        assertEq(weth.allowance(address(runner), address(ledger)), 0, "exact allowance");
    }

    function test_says_what_was_executed() public {
        Order memory order = _now();
        bytes32 hash =
            Words.digest(Words.separator(block.chainid, address(staking)), Words.hashOrder(abi.encode(order)));
        bytes memory signature = _signOrder(finder, order);
        vm.expectEmit(address(ledger));
        emit IExecutionLedger.Executed(
            hash, order.primaryKey, finder.account, leader.account, address(weth), 1 ether, 0.6 ether, 0.01 ether
        );
        vm.prank(leader.key);
        runner.run(order, signature, index, 1 ether);
    }

    function test_the_order_hash_is_the_digest() public {
        Order memory order = _now();
        bytes32 hash =
            Words.digest(Words.separator(block.chainid, address(staking)), Words.hashOrder(abi.encode(order)));
        assertEq(runner.openOnly(order, _signOrder(finder, order), index, leader.key), hash, "order hash");
    }

    function test_of_other_tokens_no_fee_is_taken(uint256 net) public {
        net = bound(net, 0.02 ether, 1e30);
        PlainToken dai = new PlainToken("DAI");
        Order memory order = _now();
        order.profitToken = address(dai);
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        (, uint256 fee) = runner.run(order, signature, index, net);
        assertEq(fee, 0, "fee");
        assertEq(dai.balanceOf(address(stream)), 0, "the stream's");
    }

    function test_a_finder_that_does_not_get_all_is_unpaid() public {
        FeeToken taking = new FeeToken();
        Order memory order = _now();
        order.profitToken = address(taking);
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        vm.expectPartialRevert(IExecutionLedger.FinderUnpaid.selector);
        runner.run(order, signature, index, 1 ether);
    }

    function test_an_executor_that_pays_itself_has_not_paid() public {
        Order memory order = _now();
        order.payTo = address(runner);
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.FinderUnpaid.selector, 0, 0.6 ether));
        runner.run(order, signature, index, 1 ether);
    }

    function test_without_allowance_or_funds_all_reverts() public {
        Order memory order = _now();
        runner.openOnly(order, _signOrder(finder, order), index, leader.key);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(ledger), 0, 0.6 ether)
        );
        runner.settleOnly(order, 1 ether);
        runner.allow(address(weth), 0.6 ether);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, address(runner), 0, 0.6 ether)
        );
        runner.settleOnly(order, 1 ether);
    }

    // By whom and when

    function test_only_executors_open() public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        vm.expectRevert(IExecutionLedger.NotExecutor.selector);
        ledger.open(order, signature, index, leader.key, new bytes32[](0));
        vm.prank(address(timelock));
        ledger.setExecutor(address(runner), false);
        _refused(order, abi.encodePacked(IExecutionLedger.NotExecutor.selector));
    }

    function test_only_governance_names_executors() public {
        vm.prank(mallory);
        vm.expectRevert(IExecutionLedger.NotGovernance.selector);
        ledger.setExecutor(mallory, true);
        vm.prank(address(timelock));
        vm.expectRevert(IExecutionLedger.ZeroAddress.selector);
        ledger.setExecutor(address(0), true);
    }

    function test_not_in_another_block(uint256 target) public {
        target = bound(target, 1, type(uint64).max);
        vm.assume(target != block.number);
        Order memory order = _order(finder, leader.account, target);
        _refused(order, abi.encodeWithSelector(IExecutionLedger.WrongBlock.selector, target));
    }

    function test_not_by_another_operator() public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        bytes memory notIts = abi.encodeWithSelector(IExecutionLedger.NotTheOrdersExecutor.selector, other.account);
        _refused(order, signature, index, other.key, notIts);
        _refused(order, signature, index, mallory, abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        // An order that the finder gave to one who does not lead.
        order.executor = other.account;
        signature = _signOrder(finder, order);
        bytes memory notLeader = abi.encodeWithSelector(IExecutionLedger.NotLeader.selector, index);
        _refused(order, signature, index, other.key, notLeader);
        notLeader = abi.encodeWithSelector(IExecutionLedger.NotLeader.selector, 1 - index);
        _refused(order, signature, 1 - index, other.key, notLeader);
    }

    function test_not_with_a_wrong_index(uint256 wrong) public {
        vm.assume(wrong != index);
        Order memory order = _now();
        bytes memory why = abi.encodeWithSelector(IExecutionLedger.NotLeader.selector, wrong);
        _refused(order, _signOrder(finder, order), wrong, leader.key, why);
    }

    function test_a_leader_that_changed_its_key_leads_with_the_new_one() public {
        Person memory rotated = _rotate(leader, "the leader's second key");
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        bytes memory gone = abi.encodeWithSelector(INodeStaking.NotRegistered.selector, leader.key);
        _refused(order, signature, index, leader.key, gone);
        vm.prank(rotated.key);
        runner.run(order, signature, index, 1 ether);
    }

    function test_not_in_an_epoch_without_a_seed() public {
        _goTo((NEXT + 1) * LENGTH);
        _refused(_now(), abi.encodeWithSelector(IExecutionLedger.NotRolled.selector, NEXT + 1));
    }

    function test_not_while_the_brake_is_on() public {
        Order memory order = _now();
        vm.prank(guardian);
        brake.pause();
        _refused(order, abi.encodePacked(IExecutionLedger.Paused.selector));
        vm.prank(address(timelock));
        brake.release();
        vm.prank(alice.account);
        brake.supportScopePause(bytes32(uint256(uint160(address(weth)))));
        _refused(order, abi.encodePacked(IExecutionLedger.Paused.selector));
    }

    function test_not_while_anything_that_its_route_uses_is_paused(uint256 place) public {
        bytes32[] memory uses = _uses();
        bytes32 paused = uses[place % uses.length];
        vm.prank(alice.account);
        brake.supportScopePause(paused);
        bytes memory signature = _signOrder(finder, _now());
        vm.expectRevert(IExecutionLedger.Paused.selector);
        runner.openUsing(_now(), signature, index, leader.key, uses);
        runner.openOnly(_now(), signature, index, leader.key); // what it does not use is nothing to it
    }

    function test_not_through_a_paused_or_removed_executor() public {
        bytes32 subject = bytes32(uint256(uint160(address(runner))));
        vm.prank(alice.account);
        brake.supportScopePause(subject);
        _refused(_now(), abi.encodePacked(IExecutionLedger.Paused.selector));
        vm.startPrank(address(timelock));
        brake.releaseScope(subject);
        parameters.remove(subject);
        vm.stopPrank();
        _refused(_now(), abi.encodePacked(IExecutionLedger.OutOfUse.selector));
    }

    function test_not_with_anything_that_was_taken_out_of_use(uint256 place) public {
        bytes32[] memory uses = _uses();
        bytes32 removed = uses[place % uses.length];
        bytes memory signature = _signOrder(finder, _now());
        vm.prank(address(timelock));
        parameters.remove(removed);
        vm.expectRevert(IExecutionLedger.OutOfUse.selector);
        runner.openUsing(_now(), signature, index, leader.key, uses);
        runner.openOnly(_now(), signature, index, leader.key);
    }

    function test_not_for_a_token_that_was_taken_out_of_use() public {
        vm.prank(address(timelock));
        parameters.remove(bytes32(uint256(uint160(address(weth)))));
        _refused(_now(), abi.encodePacked(IExecutionLedger.OutOfUse.selector));
    }

    function _uses() private pure returns (bytes32[] memory uses) {
        uses = new bytes32[](3);
        (uses[0], uses[1], uses[2]) = (keccak256("token"), keccak256("pool"), keccak256("venue"));
    }

    // What was signed

    function test_not_without_the_finders_signature() public {
        Order memory order = _now();
        bytes memory byLeader = _signOrder(leader, order);
        bytes memory why = abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, finder.account, leader.key);
        _refused(order, byLeader, index, leader.key, why);
        bytes memory twin = Words.twin(_signOrder(finder, order));
        _refused(order, twin, index, leader.key, abi.encodePacked(INodeStaking.BadSignature.selector));
    }

    function test_not_by_a_finders_former_key() public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        _rotate(finder, "the finder's second key");
        bytes memory why = abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, finder.account, finder.key);
        _refused(order, signature, index, leader.key, why);
    }

    function test_not_what_was_signed_for_another_chain_or_registry() public {
        Order memory order = _now();
        bytes32 hash = Words.hashOrder(abi.encode(order));
        bytes32[2] memory domains =
            [Words.separator(1, address(staking)), Words.separator(block.chainid, address(ledger))];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory signature = _signUnder(domains[i], finder.secret, hash);
            _refused(order, signature, index, leader.key, staking.notSigned(finder.account, hash, signature));
        }
    }

    function test_not_with_any_member_changed(uint256 member, uint256 by) public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        uint256[9] memory words = abi.decode(abi.encode(order), (uint256[9]));
        member = bound(member, 3, 8); // the first three are looked at before the signature
        words[member] = member == 3 ? (words[3] + bound(by, 1, 4_000)) : words[member] ^ bound(by, 1, 0xffff);
        Order memory changed = abi.decode(abi.encode(words), (Order));
        bytes32 hash = Words.hashOrder(abi.encode(changed));
        _refused(changed, signature, index, leader.key, staking.notSigned(finder.account, hash, signature));
    }

    function test_not_a_malformed_order() public {
        bytes memory malformed = abi.encodePacked(Statements.MalformedStatement.selector);
        Order memory order = _now();
        order.finderBps = 10_001;
        _refused(order, malformed);
        for (uint256 member = 4; member < 10; ++member) {
            uint256[9] memory words = abi.decode(abi.encode(_now()), (uint256[9]));
            words[member % 9] = 0; // finder, and the last five
            _refused(abi.decode(abi.encode(words), (Order)), malformed);
        }
    }

    // Opened, then settled, once

    function test_what_was_not_opened_is_not_settled() public {
        Order memory order = _now();
        vm.expectRevert(IExecutionLedger.OrderNotOpen.selector);
        runner.settleOnly(order, 1 ether);
    }

    function test_orders_do_not_nest() public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        vm.expectRevert(IExecutionLedger.OrderIsOpen.selector);
        runner.openTwice(order, signature, index);
    }

    function test_another_order_or_another_executor_does_not_settle_it() public {
        Order memory order = _now();
        Order memory cheaper = _now();
        cheaper.minFinderWei = 1;
        cheaper.finderBps = 1;
        bytes memory signature = _signOrder(finder, order);
        vm.startPrank(leader.key);
        vm.expectRevert(IExecutionLedger.OrderNotOpen.selector);
        runner.openAndSettleAnother(order, signature, index, cheaper);
        OrderRunner stranger = new OrderRunner(ledger);
        vm.expectRevert(IExecutionLedger.OrderNotOpen.selector);
        runner.openAndLetSettle(order, signature, index, stranger);
    }

    function test_an_order_is_settled_once() public {
        Order memory order = _now();
        bytes memory signature = _signOrder(finder, order);
        vm.prank(leader.key);
        vm.expectRevert(IExecutionLedger.OrderNotOpen.selector);
        runner.settleTwice(order, signature, index, 1 ether);
    }
}
