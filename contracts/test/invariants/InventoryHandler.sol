// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule, Vault} from "../../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "../base/InventoryTest.sol";
import {Plans} from "../base/Plans.sol";
import {SettableFeed} from "../malicious/Feeds.sol";

/// @title A hot key that wants to lose as much as it can, and everything around it, at random
/// @dev The pool stands still, so that its mean is its price; the feed says whatever it likes. What a trade lost is counted
/// by the pool's price, independently of the module: that is the price at which it was really lost.
contract InventoryHandler is InventoryTest {
    struct Trade {
        uint256 at;
        uint256 loss;
        uint256 turnover;
    }

    /// Little beside what a few trades can lose within their bands.
    uint256 private constant LEAST_ROOM = 400e6;

    Trade[] private trades;
    uint256 public refusals;
    /// P15: trades beyond the band, by others than the hot key, while paused, or beyond what is to be held.
    uint256 public excesses;
    /// P15: how often the Safe's balances changed by anything but what a trade said.
    uint256 public surprises;
    SettableFeed private lying;
    uint256 private market;

    function setUp() public override {
        super.setUp();
        lying = new SettableFeed(8);
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (_feedChange(weth, address(lying), MAX_AGE))));
        _pinStingy();
        module.enact(address(safe), _feedChange(weth, address(lying), MAX_AGE));
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.MaxLoss, address(0), LEAST_ROOM));
        market = _marketDollars();
        lying.set(int256(market), block.timestamp);
    }

    function count() external view returns (uint256) {
        return trades.length;
    }

    /// Sell, for some part of what it is worth.
    function sell(uint256 amount, uint256 bps, uint256 who) external {
        amount = bound(amount, 1e15, 10 ether);
        uint256 worth = _worth(amount, market);
        _attempt(weth, amount, usdc, worth, worth * bound(bps, 9_000, 10_010) / 10_000, who);
    }

    /// Buy, for some part of what it is worth.
    function buy(uint256 dollars, uint256 bps, uint256 who) external {
        dollars = bound(dollars, 1e6, 30_000e6);
        uint256 gives = dollars * 1e20 / market * bound(bps, 9_000, 10_010) / 10_000;
        _attempt(usdc, dollars, weth, dollars, gives, who);
    }

    function _attempt(address sold, uint256 amount, address bought, uint256 worth, uint256 gives, uint256 who) private {
        uint256 soldBefore = IERC20(sold).balanceOf(address(safe));
        uint256 boughtBefore = IERC20(bought).balanceOf(address(safe));
        bool isHotKey = who % 8 != 0;
        vm.prank(isHotKey ? alice : mallory);
        try module.trade(address(safe), sold, amount, bought, abi.encode(gives)) returns (uint256 received) {
            uint256 got = bought == usdc ? received : _worth(received, market);
            uint256 loss = worth > got ? worth - got : 0;
            trades.push(Trade(block.timestamp, loss, worth));
            // The module takes the worse of two prices, which agree: its worth is at most so much above the pool's.
            if (loss > worth * LOSS_BAND * (10_000 + AGREEMENT) / 10_000 ** 2 + 2) ++excesses;
            if (!isHotKey || module.vaultOf(address(safe)).paused) ++excesses;
            if (IERC20(weth).balanceOf(address(safe)) < LEAST_WETH && sold == weth) ++excesses;
            if (IERC20(weth).balanceOf(address(safe)) > MOST_WETH && bought == weth) ++excesses;
            if (IERC20(sold).balanceOf(address(safe)) != soldBefore - amount) ++surprises;
            if (IERC20(bought).balanceOf(address(safe)) != boughtBefore + gives) ++surprises;
        } catch {
            ++refusals;
            if (IERC20(sold).balanceOf(address(safe)) != soldBefore) ++surprises;
            if (IERC20(bought).balanceOf(address(safe)) != boughtBefore) ++surprises;
        }
    }

    /// The feed says something near the market, or something else; fresh, or not.
    function say(uint256 bps, uint256 age) external {
        uint256 answer = market * bound(bps, 9_700, 10_300) / 10_000;
        lying.set(int256(answer), block.timestamp - bound(age, 0, 2 * MAX_AGE));
    }

    function wait(uint256 elapsed) external {
        skip(bound(elapsed, 1, 6 hours));
        lying.set(int256(market), block.timestamp);
    }

    /// One owner pauses the vault; the Safe resumes it two days later.
    function pauseOrResume(uint256 when) external {
        if (module.vaultOf(address(safe)).paused) {
            _loosen(Change(ChangeKind.Pause, address(0), 0));
            lying.set(int256(market), block.timestamp);
        } else if (when % 8 == 0) {
            vm.prank(bob);
            module.tighten(address(safe), Change(ChangeKind.Pause, address(0), 1));
        }
    }

    function tighten(uint256 what) external {
        Change[3] memory changes = [
            Change(ChangeKind.MaxLoss, address(0), LEAST_ROOM * 3 / 4),
            Change(ChangeKind.MaxTurnover, address(0), MAX_TURNOVER * 3 / 4),
            Change(ChangeKind.Agreement, address(0), AGREEMENT / 2)
        ];
        vm.prank(bob);
        try module.tighten(address(safe), changes[what % 3]) {} catch {}
    }

    /// P15: in no stretch of time more than fits, and leaks out in it. As if nothing had ever been tightened.
    function worstExcess() external view returns (uint256 losses, uint256 turnover) {
        for (uint256 from = 0; from < trades.length; ++from) {
            (uint256 lost, uint256 sold) = (0, 0);
            for (uint256 i = from; i < trades.length; ++i) {
                (lost, sold) = (lost + trades[i].loss, sold + trades[i].turnover);
                uint256 elapsed = trades[i].at - trades[from].at;
                uint256 room = LEAST_ROOM + LEAST_ROOM * elapsed / 1 days;
                if (lost > room && lost - room > losses) losses = lost - room;
                room = uint256(MAX_TURNOVER) + uint256(MAX_TURNOVER) * elapsed / 1 days;
                if (sold > room && sold - room > turnover) turnover = sold - room;
            }
        }
    }
}
