// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Change, ChangeKind, Inventory, IVaultModule, Market} from "../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {SettableFeed} from "./malicious/Feeds.sol";

/// Inventory mode's limits: off at first, tightened at once, loosened in 48 hours.
contract InventorySettingsTest is InventoryTest {
    function _tighten(address by, Change memory change) private {
        vm.prank(by);
        module.tighten(address(safe), change);
    }

    function test_is_off_at_first() public view {
        Inventory memory other = module.inventoryOf(mallory);
        assertTrue(other.unit == address(0) && other.maxLoss == 0 && other.maxTurnover == 0, "a vault of nobody");
        Inventory memory own = module.inventoryOf(address(safe));
        assertTrue(own.unit == usdc && own.decimals == 6, "the unit");
        assertTrue(own.lossBand == LOSS_BAND && own.agreement == AGREEMENT, "the bands");
        assertTrue(own.maxLoss == MAX_LOSS && own.maxTurnover == MAX_TURNOVER, "the buckets");
        Market memory market = module.marketOf(address(safe), weth);
        assertTrue(address(market.feed) == feed && market.maxAge == MAX_AGE && market.decimals == 26, "the feed");
        assertTrue(address(market.pool) == pool, "the pool");
        assertTrue(market.heldAtLeast == LEAST_WETH && market.heldAtMost == MOST_WETH, "what is held");
    }

    function test_every_kind_of_tightening_takes_effect() public {
        Change[10] memory tightenings = [
            Change(ChangeKind.LossBand, address(0), LOSS_BAND - 1),
            Change(ChangeKind.Agreement, address(0), AGREEMENT - 1),
            Change(ChangeKind.MaxLoss, address(0), MAX_LOSS - 1),
            Change(ChangeKind.MaxTurnover, address(0), MAX_TURNOVER - 1),
            _feedChange(weth, feed, MAX_AGE - 1),
            Change(ChangeKind.HeldAtLeast, weth, LEAST_WETH + 1),
            Change(ChangeKind.HeldAtMost, weth, MOST_WETH - 1),
            Change(ChangeKind.Pool, weth, 0),
            Change(ChangeKind.Feed, weth, 0),
            Change(ChangeKind.Unit, address(0), 0)
        ];
        address[3] memory guardians = [alice, bob, address(safe)];
        for (uint256 i = 0; i < 7; ++i) {
            _tighten(guardians[i % 3], tightenings[i]);
        }
        Inventory memory own = module.inventoryOf(address(safe));
        assertTrue(own.lossBand == LOSS_BAND - 1 && own.agreement == AGREEMENT - 1, "the bands");
        assertTrue(own.maxLoss == MAX_LOSS - 1 && own.maxTurnover == MAX_TURNOVER - 1, "the buckets");
        Market memory market = module.marketOf(address(safe), weth);
        assertEq(market.maxAge, MAX_AGE - 1, "the feed's age");
        assertTrue(market.heldAtLeast == LEAST_WETH + 1 && market.heldAtMost == MOST_WETH - 1, "what is held");
        for (uint256 i = 7; i < 10; ++i) {
            _tighten(bob, tightenings[i]);
        }
        market = module.marketOf(address(safe), weth);
        assertTrue(address(market.feed) == address(0) && market.decimals == 0, "no feed");
        assertEq(address(market.pool), address(0), "no pool");
        own = module.inventoryOf(address(safe));
        assertTrue(own.unit == address(0) && own.maxLoss == 0 && own.lossBand == 0, "off, with its limits");
    }

    function test_nothing_is_loosened_by_tightening(uint256 more) public {
        SettableFeed other = new SettableFeed(8);
        Change[12] memory loosenings = [
            Change(ChangeKind.Unit, dai, 0),
            Change(ChangeKind.LossBand, address(0), bound(more, LOSS_BAND, type(uint256).max)),
            Change(ChangeKind.Agreement, address(0), bound(more, AGREEMENT, type(uint256).max)),
            Change(ChangeKind.MaxLoss, address(0), bound(more, MAX_LOSS, type(uint256).max)),
            Change(ChangeKind.MaxTurnover, address(0), bound(more, MAX_TURNOVER, type(uint256).max)),
            _feedChange(weth, feed, bound(more, MAX_AGE, type(uint96).max)),
            _feedChange(weth, address(other), bound(more, 0, MAX_AGE)),
            Change(ChangeKind.Pool, weth, uint160(pool)),
            Change(ChangeKind.HeldAtLeast, weth, bound(more, 0, LEAST_WETH)),
            Change(ChangeKind.HeldAtMost, weth, bound(more, MOST_WETH, type(uint256).max)),
            Change(ChangeKind.HeldAtMost, dai, bound(more, 0, type(uint256).max)),
            Change(ChangeKind.Deposit, mallory, (bound(more, 0, type(uint96).max) << 160) | uint160(weth))
        ];
        for (uint256 i = 0; i < loosenings.length; ++i) {
            vm.prank(bob);
            vm.expectRevert(IVaultModule.NotTighter.selector);
            module.tighten(address(safe), loosenings[i]);
        }
    }

    function test_a_change_with_operands_that_make_no_sense_is_refused() public {
        SettableFeed undecided = new SettableFeed(0);
        SettableFeed absurd = new SettableFeed(37);
        uint256 above = uint256(type(uint128).max) + 1;
        Change[19] memory odd = [
            Change(ChangeKind.Unit, dai, 0), // there is one
            Change(ChangeKind.Unit, address(0), 1),
            Change(ChangeKind.LossBand, weth, 1),
            Change(ChangeKind.LossBand, address(0), 10_001),
            Change(ChangeKind.Agreement, weth, 1),
            Change(ChangeKind.Agreement, address(0), 10_001),
            Change(ChangeKind.MaxLoss, weth, 1),
            Change(ChangeKind.MaxLoss, address(0), above),
            Change(ChangeKind.MaxTurnover, weth, 1),
            Change(ChangeKind.MaxTurnover, address(0), above),
            _feedChange(weth, feed, uint256(type(uint32).max) + 1),
            _feedChange(weth, mallory, 1),
            _feedChange(weth, address(undecided), 1),
            _feedChange(weth, address(absurd), 1),
            _feedChange(weth, address(safe), 1),
            _feedChange(mallory, feed, 1),
            Change(ChangeKind.Pool, weth, uint160(mallory)),
            Change(ChangeKind.Pool, weth, (1 << 160) | uint160(pool)),
            Change(ChangeKind.HeldAtMost, weth, above)
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            vm.prank(address(safe));
            vm.expectRevert(IVaultModule.MalformedChange.selector);
            module.propose(odd[i]);
        }
    }

    function test_another_unit_is_named_once_there_is_none_and_begins_with_empty_buckets() public {
        _pinStingy();
        _sellWeth(31 ether, abi.encode(_worth(31 ether, _marketDollars()) - 1_000e6));
        _tighten(bob, Change(ChangeKind.Unit, address(0), 0));
        Change[3] memory odd = [
            Change(ChangeKind.Unit, mallory, 0),
            Change(ChangeKind.Unit, address(safe), 0),
            Change(ChangeKind.Unit, weth, 1)
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            vm.prank(address(safe));
            vm.expectRevert(IVaultModule.MalformedChange.selector);
            module.propose(odd[i]);
        }
        _loosen(Change(ChangeKind.Unit, weth, 0));
        (uint256 losses, uint256 turnover) = module.levelsOf(address(safe));
        assertTrue(losses == 0 && turnover == 0, "the buckets");
        assertEq(module.inventoryOf(address(safe)).maxLoss, 0, "limits count in the unit that they were set for");
    }
}
