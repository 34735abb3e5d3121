// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {RewardStream} from "../../src/RewardStream.sol";
import {IRewardStream, Pot} from "../../src/interfaces/IRewardStream.sol";
import {NetworkTest} from "../base/NetworkTest.sol";

/// Fees to active stake, a seventh of the pool a day.
contract StreamTest is NetworkTest {
    function _day() private {
        vm.warp((block.timestamp / 1 days + 1) * 1 days);
    }

    function test_a_seventh_a_day_is_shared_by_stake(uint256 amount, uint256 a, uint256 b) public {
        amount = bound(amount, 7, 1e30);
        a = bound(a, 1, 20_000_000 ether);
        b = bound(b, 1, 20_000_000 ether);
        _join(alice, a);
        _join(bob, b);
        weth.mint(address(stream), amount);
        _day();
        stream.roll();
        uint256 pot = amount / 7;
        assertEq(stream.promised(), pot, "promised");
        assertEq(stream.pool(), amount - pot, "the rest");
        Pot memory made = stream.potAt(0);
        assertEq(made.amount, pot, "pot");
        assertEq(made.stake, a + b, "stake");
        assertEq(made.snapshot, block.timestamp - 1, "the day before's last second");
        stream.claim(alice.account, 1);
        stream.claim(bob.account, 5);
        uint256 paid = weth.balanceOf(alice.account) + weth.balanceOf(bob.account);
        assertLe(paid, pot, "P11: paid");
        assertLe(pot - paid, 2, "rounding");
        assertApproxEqAbs(weth.balanceOf(alice.account), pot * a / (a + b), 1, "alice's share");
        assertEq(stream.promised(), pot - paid, "promised");
    }

    function test_a_day_is_rolled_once() public {
        _day();
        stream.roll();
        vm.expectRevert(IRewardStream.AlreadyRolled.selector);
        stream.roll();
        _day();
        stream.roll();
    }

    function test_nothing_is_lost_while_nobody_is_staked(uint256 amount, uint256 days_) public {
        amount = bound(amount, 7, 1e30);
        weth.mint(address(stream), amount);
        for (uint256 i = bound(days_, 1, 20); i != 0; --i) {
            _day();
            stream.roll();
        }
        assertEq(stream.pool(), amount, "P11: all is there");
        assertEq(stream.potCount(), 0, "pots");
        _join(alice, 1 ether);
        _day();
        stream.roll();
        stream.claim(alice.account, 1);
        assertEq(weth.balanceOf(alice.account), amount / 7, "a seventh");
    }

    function test_nothing_is_paid_twice() public {
        _join(alice, 1 ether);
        weth.mint(address(stream), 7 ether);
        _day();
        stream.roll();
        assertEq(stream.claim(alice.account, 1), 1 ether, "once");
        assertEq(stream.claim(alice.account, 1), 0, "P11: twice");
        assertEq(stream.nextPot(alice.account), 1, "next");
    }

    function test_who_stakes_later_has_no_share_of_before() public {
        _join(alice, 1 ether);
        weth.mint(address(stream), 7 ether);
        _day();
        _join(bob, 1_000_000 ether);
        stream.roll(); // bob came after the snapshot
        assertEq(stream.claim(bob.account, 9), 0, "bob");
        assertEq(stream.claim(alice.account, 9), 1 ether, "alice");
    }

    function test_pots_are_claimed_in_pieces_and_by_anybody(uint256 pieces) public {
        _join(alice, 1 ether);
        weth.mint(address(stream), 700 ether);
        for (uint256 i = 0; i < 6; ++i) {
            _day();
            stream.roll();
        }
        pieces = bound(pieces, 1, type(uint256).max);
        vm.startPrank(mallory);
        while (stream.nextPot(alice.account) < 6) stream.claim(alice.account, pieces);
        assertEq(weth.balanceOf(alice.account), 700 ether - stream.pool(), "all of it");
        assertEq(weth.balanceOf(mallory), 0, "mallory");
    }

    function test_a_stream_without_token_or_registry_is_refused() public {
        vm.expectRevert(IRewardStream.ZeroAddress.selector);
        new RewardStream(address(0), IVotes(address(1)));
        vm.expectRevert(IRewardStream.ZeroAddress.selector);
        new RewardStream(address(1), IVotes(address(0)));
    }
}
