// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Attestation} from "../../src/libraries/Statements.sol";
import {Person} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";
import {NetworkActors} from "./NetworkActors.sol";

/// @title The stream and the weekly pots: funded, earned, claimed, carried on; with books of their own
abstract contract RewardActions is NetworkActors {
    /// How many weeks back pots are claimed and carried.
    uint256 private constant WEEKS = 10;

    mapping(address operator => uint256) public claimed;
    uint256 public streamPaid;
    /// What was put into each week's pot, and carried from one to another, and claimed: by what was transferred.
    mapping(uint256 week => uint256) public potBy;
    mapping(uint256 week => uint256) public claimedOfWeek;
    /// P11: on how many days nobody was staked, and how often something was lost or not paid by that.
    uint256 public emptyDays;
    uint256 public lostWhileNobody;
    uint256 private _workFunded;
    uint256 private _workPaid;

    function fundStream(uint256 amount) external {
        amount = bound(amount, 1, 100 ether);
        weth.mint(address(stream), amount);
        streamFunded += amount;
    }

    function rollStream() external {
        _pass(1 days);
        try stream.roll() {}
        catch {
            _countPayment();
        }
    }

    function claimStream(uint256 who, uint256 pots) external {
        address account = _who(who).account;
        if (!_claim(account, bound(pots, 1, 10))) _countPayment();
    }

    /// All leave, and come back some days later. Until then all that is funded waits; after that what was promised is paid.
    function leaveForDays(uint256 days_, uint256 amount) external {
        _pass(2 * LENGTH * 12); // beyond every lock
        for (uint256 i = 0; i < 4; ++i) {
            uint256 active = _activeOf(operators[i]);
            if (active == 0) continue;
            vm.prank(operators[i].account);
            try staking.requestUnstake(active) {
                _noteRequest(operators[i]);
            } catch {
                _countBlocked();
            }
        }
        if (_totalActive() == 0) _daysWithNobody(days_, amount);
        for (uint256 i = 0; i < 4; ++i) {
            if (!_claim(operators[i].account, type(uint256).max)) _countUnpaid();
            uint256 most = token.balanceOf(treasury) / 1_000;
            if (most != 0) _stake(operators[i], most < (i + 1) * 1_000 ether ? most : (i + 1) * 1_000 ether);
        }
        _pass(1 days);
    }

    function _daysWithNobody(uint256 days_, uint256 amount) private {
        amount = bound(amount, 7, 100 ether);
        weth.mint(address(stream), amount);
        streamFunded += amount;
        (uint256 pool, uint256 promised) = (stream.pool(), stream.promised());
        for (uint256 left = bound(days_, 1, 5); left != 0; --left) {
            _pass(1 days);
            try stream.roll() {
                ++emptyDays;
            } catch {
                _countUnpaid();
            }
        }
        if (stream.pool() != pool || stream.promised() != promised) ++lostWhileNobody;
    }

    function _countUnpaid() private {
        if (brake.isPaused()) ++blockedByBrake;
        else ++lostWhileNobody;
    }

    function _claim(address account, uint256 pots) private returns (bool) {
        try stream.claim(account, pots) returns (uint256 amount) {
            streamPaid += amount;
            claimed[account] += amount;
            return true;
        } catch {
            return false;
        }
    }

    /// Payments are not refused, least of all by the brake.
    function _countPayment() private {
        if (brake.isPaused()) ++blockedByBrake;
        else ++refusals;
    }

    /// A pot that nobody may come to earn.
    function fundWork(uint256 amount) external {
        _fundWork(amount);
    }

    function _fundWork(uint256 amount) private {
        uint256 most = token.balanceOf(treasury) / 1_000;
        if (most == 0) return;
        vm.startPrank(treasury);
        amount = bound(amount, 1, most);
        token.approve(address(work), amount);
        work.fund(amount);
        vm.stopPrank();
        potBy[work.currentWeek()] += amount;
        _workFunded += amount;
    }

    /// All attest, or all but one; into a week's pot that gets something as well.
    function settleAlert(uint256 who, uint256 amount) external {
        _pass(12);
        _fundWork(amount);
        bytes32 hash = keccak256(abi.encode(block.number));
        vm.setBlockhash(block.number - 1, hash);
        Attestation memory attestation = Attestation(
            keccak256(abi.encode("work", ++_alerts)), hash, 1, uint64(block.number - 1), uint64(block.timestamp)
        );
        Person[4] memory sorted = _sorted();
        uint256 from = who % 2;
        address[] memory accounts = new address[](4 - from);
        bytes[] memory signatures = new bytes[](4 - from);
        for (uint256 i = from; i < 4; ++i) {
            bytes32 structHash = Words.hashAttestation(abi.encode(attestation));
            (accounts[i - from], signatures[i - from]) = (sorted[i].account, _sign(sorted[i].secret, structHash));
        }
        try work.settle(attestation, accounts, signatures) {}
        catch {
            ++refusals;
        }
    }

    function _sorted() private view returns (Person[4] memory sorted) {
        sorted = operators;
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 j = i + 1; j < 4; ++j) {
                if (sorted[j].account < sorted[i].account) (sorted[i], sorted[j]) = (sorted[j], sorted[i]);
            }
        }
    }

    /// Of the last weeks that are over, all of them more than once.
    function claimWork(uint256 who) external {
        address account = _who(who).account;
        for (uint256 time = 0; time < 3 * WEEKS; ++time) {
            uint256 week = work.currentWeek() - time / 3 - 1;
            uint256 before = token.balanceOf(account);
            try work.claim(week, account) {
                uint256 got = token.balanceOf(account) - before;
                claimedOfWeek[week] += got;
                _workPaid += got;
            } catch {
                ++refusals;
            }
        }
    }

    /// All of the last weeks that can be.
    function carry() external {
        uint256 to = work.currentWeek();
        for (uint256 week = to - WEEKS; week < to; ++week) {
            try work.carry(week) {
                potBy[to] += potBy[week];
                potBy[week] = 0;
            } catch {
                ++refusals;
            }
        }
    }

    // What the invariants look at

    function lastWeek() external view returns (uint256) {
        return work.currentWeek() - 1;
    }

    function assertStream() external view {
        assertEq(weth.balanceOf(address(stream)), streamFunded - streamPaid, "P11: something is lost");
        assertLe(stream.promised(), streamFunded - streamPaid, "P11: promised above what is there");
        assertEq(lostWhileNobody, 0, "P11: lost, or not paid, while nobody was staked");
        for (uint256 i = 0; i < 4; ++i) {
            address account = operators[i].account;
            uint256 share;
            for (uint256 pot = 0; pot < stream.nextPot(account); ++pot) {
                uint256 votes = staking.getPastVotes(account, stream.potAt(pot).snapshot);
                share += uint256(stream.potAt(pot).amount) * votes / stream.potAt(pot).stake;
            }
            assertLe(claimed[account], share, "P11: paid above the share");
        }
    }

    function assertWork() external view {
        uint256 now_ = work.currentWeek();
        for (uint256 week = now_ - 60; week <= now_; ++week) {
            assertLe(claimedOfWeek[week], potBy[week], "P12: claimed above the pot");
        }
        assertEq(token.balanceOf(address(work)), _workFunded - _workPaid, "P12: something is lost");
    }
}
