// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../src/libraries/Statements.sol";
import {OrderRunner} from "../base/OrderRunner.sol";
import {PlainToken} from "../base/PlainToken.sol";
import {Person} from "../base/StakingTest.sol";
import {BombToken} from "../malicious/BombToken.sol";
import {EagerToken} from "../malicious/EagerToken.sol";
import {FeeToken} from "../malicious/FeeToken.sol";
import {NetworkActors} from "./NetworkActors.sol";

/// @title Epochs and orders, in and out of turn, in good tokens and in bad ones
abstract contract OrderActions is NetworkActors {
    uint256 private constant KINDS = 9;
    uint256 private constant BY_ANOTHER = 1;
    uint256 private constant IN_ANOTHER_BLOCK = 2;
    uint256 private constant WITH_ANOTHER_INDEX = 3;
    uint256 private constant TO_THE_EXECUTOR_ITSELF = 4;
    uint256 private constant IN_A_TOKEN_THAT_TAKES = 5;
    uint256 private constant IN_A_TOKEN_THAT_CALLS = 6;
    uint256 private constant IN_A_TOKEN_THAT_BOMBS = 7;

    uint256 public executions;
    /// P9: how often somebody executed outside of block and turn.
    uint256 public intrusions;
    /// P10: how often a finder got less than its due.
    uint256 public unpaid;
    /// P10: how often an order was settled again while it was being settled.
    uint256 public resettled;

    FeeToken private taking;
    EagerToken private eager;
    BombToken private bomb;

    function setUp() public virtual override {
        super.setUp();
        (taking, eager, bomb) = (new FeeToken(), new EagerToken(), new BombToken());
    }

    function checkIn(uint256 who) external {
        vm.prank(_who(who).key);
        try ledger.checkIn(block.number / LENGTH + 1) {
            _noteCheckIn(_who(who), block.number / LENGTH + 1);
        } catch {
            ++refusals;
        }
    }

    /// Those with enough stake check in, and the next epoch begins.
    function nextEpoch(uint256 seed) external {
        _nextEpoch(seed);
    }

    function _nextEpoch(uint256 seed) private {
        uint256 epoch = block.number / LENGTH + 1;
        if (block.number >= epoch * LENGTH - CUT_OFF) _goTo(epoch++ * LENGTH);
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(operators[i].key);
            try ledger.checkIn(epoch) {
                _noteCheckIn(operators[i], epoch);
            } catch {
                ++refusals;
            }
        }
        if (ledger.epochAt(epoch).entries != 0) _startEpoch(epoch, keccak256(abi.encode(seed)));
    }

    /// By the leader in its block, or (`how`) by another, in another block, with another index, to the executor itself,
    /// in a token that takes a fee, that calls back in the middle, or that answers with too much.
    function execute(uint256 who, uint256 net, uint256 how, uint256 share) external {
        if (brake.isPaused() && net % 4 != 0) {
            vm.prank(address(timelock));
            brake.release();
        }
        if (!ledger.epochAt(block.number / LENGTH).rolled) _nextEpoch(who);
        if (!ledger.epochAt(block.number / LENGTH).rolled) return;
        (uint256 index, address account) = _leader(block.number);
        Person memory leader = _operator(account);
        how %= KINDS;
        Person memory by = how == BY_ANOTHER ? _other(leader) : leader;
        Order memory order = _order(_who(who), by.account, how == IN_ANOTHER_BLOCK ? block.number + 1 : block.number);
        if (how == WITH_ANOTHER_INDEX) index = index == 0 ? 1 : index - 1;
        if (how == TO_THE_EXECUTOR_ITSELF) order.payTo = address(runner);
        if (how == IN_A_TOKEN_THAT_TAKES) order.profitToken = address(taking);
        if (how == IN_A_TOKEN_THAT_CALLS) order.profitToken = address(eager);
        if (how == IN_A_TOKEN_THAT_BOMBS) order.profitToken = address(bomb);
        order.finderBps = uint16(bound(share, 0, 10_000));
        order.minFinderWei = uint128(bound(net, 1, 2 ether));
        _run(_who(who), by, order, index, bound(net, 0.1 ether, 100 ether), how);
    }

    function _run(Person memory finder, Person memory by, Order memory order, uint256 index, uint256 net, uint256 how)
        private
    {
        PlainToken profit = PlainToken(order.profitToken);
        (, uint256 fee) = ledger.dues(order, net);
        uint256 due = _due(order, net);
        uint256 before = profit.balanceOf(order.payTo);
        profit.mint(address(runner), due + fee > net ? due + fee - net : 0);
        if (how == IN_A_TOKEN_THAT_CALLS) {
            eager.onNextTransfer(address(this), abi.encodeCall(this.again, (order, net)));
        }
        if (how == IN_A_TOKEN_THAT_BOMBS) bomb.arm(BombToken.Kind(1 + net % 2));
        bytes memory signature = _signOrder(finder, order);
        vm.prank(by.key);
        try runner.run(order, signature, index, net) {
            ++executions;
            if (how == BY_ANOTHER || how == IN_ANOTHER_BLOCK || how == WITH_ANOTHER_INDEX) ++intrusions;
            bool isPaid = how != TO_THE_EXECUTOR_ITSELF && profit.balanceOf(order.payTo) >= before + due;
            if (!isPaid) ++unpaid;
            if (order.profitToken == address(weth)) streamFunded += fee;
        } catch {
            ++refusals;
        }
    }

    /// In the middle of the finder's payment the executor, which has all that it takes, settles once more.
    function again(Order calldata order, uint256 net) external {
        eager.mint(address(runner), 1e40);
        runner.allow(address(eager), type(uint256).max);
        try runner.settleOnly(order, net) {
            ++resettled;
        } catch {
            ++refusals;
        }
    }

    /// What the order's terms promise the finder, reckoned here: its share rounded up, and at least its floor.
    function _due(Order memory order, uint256 net) private pure returns (uint256) {
        uint256 share = (net * order.finderBps + 9_999) / 10_000;
        return share > order.minFinderWei ? share : order.minFinderWei;
    }

    function _operator(address account) private view returns (Person memory person) {
        for (uint256 i = 0; i < 4; ++i) {
            if (operators[i].account == account) return operators[i];
        }
    }

    function _other(Person memory person) private view returns (Person memory) {
        return operators[0].account == person.account ? operators[1] : operators[0];
    }
}
