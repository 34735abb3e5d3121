// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {Header, Plans} from "./base/Plans.sol";
import {IPoolOracle} from "./base/Protocols.sol";
import {NestingExecutor} from "./malicious/Executors.sol";
import {FeeToken} from "./malicious/FeeToken.sol";
import {SettableFeed} from "./malicious/Feeds.sol";

/// P15: trades of inventory, what they may lose, and that nothing but time makes room for more losses.
contract TradeTest is InventoryTest {
    function _tighten(Change memory change) private {
        vm.prank(bob);
        module.tighten(address(safe), change);
    }

    // What trades do

    function test_sells_for_what_the_pool_gives(uint256 amount) public {
        amount = bound(amount, 1e12, 20 ether);
        uint256 expected = _poolQuote(weth, usdc, 500, amount);
        (uint256 wethBefore, uint256 usdcBefore) =
            (IERC20(weth).balanceOf(address(safe)), IERC20(usdc).balanceOf(address(safe)));
        assertEq(_sellWeth(amount, _toDollars()), expected, "what the module says");
        assertEq(IERC20(weth).balanceOf(address(safe)), wethBefore - amount, "WETH in the Safe");
        assertEq(IERC20(usdc).balanceOf(address(safe)), usdcBefore + expected, "USDC in the Safe");
        _assertExecutorIsEmpty();
        (, uint256 turnover) = module.levelsOf(address(safe));
        assertApproxEqRel(turnover, _worth(amount, _marketDollars()), 0.02e18, "turnover");
    }

    function test_buys_with_what_it_is_valued_in(uint256 dollars) public {
        dollars = bound(dollars, 1e6, 60_000e6);
        uint256 expected = _poolQuote(usdc, weth, 500, dollars);
        assertEq(_buyWeth(dollars, _toWeth()), expected, "what the module says");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL + expected, "WETH in the Safe");
        (, uint256 turnover) = module.levelsOf(address(safe));
        assertEq(turnover, dollars, "turnover");
        _assertExecutorIsEmpty();
    }

    function test_runs_over_several_hops() public {
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(dai, 3000), Plans.uniswapV3(usdc, 100));
        uint256 received = _sellWeth(1 ether, Plans.pack(Plans.own(), hops));
        assertApproxEqRel(received, _worth(1 ether, _marketDollars()), 0.02e18, "USDC");
    }

    function test_tells_what_it_did() public {
        _pinStingy();
        uint256 dollarsE8 = _marketDollars();
        uint256 worth = _worth(1 ether, dollarsE8);
        vm.expectEmit(true, true, true, false, address(module));
        emit IVaultModule.Traded(address(safe), weth, usdc, 1 ether, worth, 0, worth);
        _sellWeth(1 ether, abi.encode(worth));
    }

    // Who and when

    function test_only_the_hot_key_trades(address other) public {
        vm.assume(other != alice);
        bytes memory plan = _toDollars();
        vm.prank(other);
        vm.expectRevert(IVaultModule.NotOperator.selector);
        module.trade(address(safe), weth, 1 ether, usdc, plan);
    }

    function test_a_paused_vault_does_not_trade() public {
        _tighten(Change(ChangeKind.Pause, address(0), 1));
        bytes memory plan = _toDollars();
        vm.expectRevert(IVaultModule.VaultPaused.selector);
        _sellWeth(1 ether, plan);
    }

    function test_without_an_executor_nothing_is_traded() public {
        _tighten(Change(ChangeKind.Executor, address(0), 0));
        bytes memory plan = _toDollars();
        vm.expectRevert(IVaultModule.NoExecutor.selector);
        _sellWeth(1 ether, plan);
    }

    function test_without_a_unit_inventory_mode_is_off() public {
        _tighten(Change(ChangeKind.Unit, address(0), 0));
        bytes memory plan = _toDollars();
        vm.expectRevert(IVaultModule.InventoryOff.selector);
        _sellWeth(1 ether, plan);
        _makeWethDearOnUniswapV2(100_000);
        _execute(1 ether, _plan(Plans.own())); // atomic executions go on
    }

    function test_sells_something_and_buys_something_else() public {
        bytes memory plan = _toDollars();
        vm.expectRevert(IVaultModule.NothingToTrade.selector);
        _sellWeth(0, plan);
        vm.prank(alice);
        vm.expectRevert(IVaultModule.NothingToTrade.selector);
        module.trade(address(safe), weth, 1 ether, weth, plan);
    }

    function test_sells_at_most_what_may_be_drawn(uint256 amount) public {
        amount = bound(amount, uint256(MAX_DRAW) + 1, type(uint256).max);
        bytes memory plan = _toDollars();
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DrawAboveMaximum.selector, amount, MAX_DRAW));
        _sellWeth(amount, plan);
    }

    function test_sells_no_more_than_there_is() public {
        _bySafe(weth, abi.encodeCall(IERC20.transfer, (bob, PRINCIPAL - 1 ether)));
        bytes memory plan = _toDollars();
        vm.expectRevert(IVaultModule.DrawRefused.selector);
        _sellWeth(2 ether, plan);
    }

    function test_both_tokens_are_pinned() public {
        bytes memory plan = _toDollars();
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TokenNotPinned.selector, dai));
        module.trade(address(safe), dai, 1, usdc, plan);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TokenNotPinned.selector, dai));
        module.trade(address(safe), weth, 1, dai, plan);
    }

    function test_the_priority_fee_stays_below_the_bid_cap() public {
        bytes memory plan = _toDollars();
        vm.fee(10 gwei);
        vm.txGasPrice(1_010 gwei);
        vm.prank(alice);
        vm.expectPartialRevert(IVaultModule.PriorityFeeAboveCap.selector);
        module.trade{gas: 1_500_000}(address(safe), weth, 1 ether, usdc, plan);
    }

    function test_one_thing_at_a_time(uint256 which) public {
        NestingExecutor nesting = new NestingExecutor(address(module));
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (_newOperator(address(nesting)))));
        _loosen(Change(ChangeKind.Executor, address(nesting), 0));
        module.enact(address(safe), _newOperator(address(nesting)));
        bytes[3] memory inner = [
            abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, "")),
            abi.encodeCall(IVaultModule.trade, (address(safe), weth, 1 ether, usdc, "")),
            abi.encodeCall(IVaultModule.deposit, (address(safe), weth, mallory, 1 ether))
        ];
        nesting.run(abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, "")), inner[which % 3]);
        assertEq(bytes4(nesting.answer()), IVaultModule.VaultBusy.selector, "the inner call");
    }

    // What may be lost

    function test_a_trade_loses_at_most_the_band(uint256 amount) public {
        _pinStingy();
        amount = bound(amount, 0.01 ether, 20 ether);
        uint256 worth = _worth(amount, _marketDollars());
        vm.expectPartialRevert(IVaultModule.LossAboveBand.selector);
        _sellWeth(amount, abi.encode(worth - worth * (LOSS_BAND + 10) / 10_000 - 1));
        _sellWeth(amount, abi.encode(worth - worth * (LOSS_BAND - 10) / 10_000));
        (uint256 losses,) = module.levelsOf(address(safe));
        assertApproxEqRel(losses, worth * (LOSS_BAND - 10) / 10_000, 0.15e18, "losses");
    }

    /// Loses $1,000 and a bit, well within the band of each trade.
    function _loseAThousand() private {
        uint256 amount = 31 ether;
        _sellWeth(amount, abi.encode(_worth(amount, _marketDollars()) - 1_000e6));
    }

    function test_losses_come_to_at_most_the_maximum() public {
        _pinStingy();
        _loseAThousand();
        _buyWeth(90_000e6, abi.encode(_inWeth(91_000e6))); // and back, at a gain
        (uint256 losses,) = module.levelsOf(address(safe));
        assertGe(losses, 1_000e6, "P15: a gain made room for losses");
        uint256 worth = _worth(31 ether, _marketDollars());
        vm.expectPartialRevert(IVaultModule.LossAboveMaximum.selector);
        _sellWeth(31 ether, abi.encode(worth - 1_010e6));
    }

    function test_losses_leak_out_in_a_day(uint256 elapsed) public {
        _pinStingy();
        _loseAThousand();
        (uint256 losses,) = module.levelsOf(address(safe));
        elapsed = bound(elapsed, 0, 2 days);
        skip(elapsed);
        (uint256 left,) = module.levelsOf(address(safe));
        uint256 leaked = uint256(MAX_LOSS) * elapsed / 1 days;
        assertEq(left, losses > leaked ? losses - leaked : 0, "what is left of the losses");
    }

    function test_turnover_comes_to_at_most_the_maximum(uint256 last) public {
        _pinStingy();
        for (uint256 i = 0; i < 3; ++i) {
            _sellWeth(30 ether, abi.encode(_worth(30 ether, _marketDollars())));
        }
        last = bound(last, 120_000e6, 150_000e6);
        uint256 gives = _inWeth(last);
        vm.expectPartialRevert(IVaultModule.TurnoverAboveMaximum.selector);
        _buyWeth(last, abi.encode(gives));
        skip(12 hours); // half of it leaks out
        _answer(_marketDollars());
        _buyWeth(last, abi.encode(gives));
    }

    function test_a_tightened_maximum_counts_at_once() public {
        _pinStingy();
        _loseAThousand();
        _tighten(Change(ChangeKind.MaxLoss, address(0), 500e6));
        bytes memory plan = abi.encode(_worth(1 ether, _marketDollars()) - 1e6);
        vm.expectPartialRevert(IVaultModule.LossAboveMaximum.selector);
        _sellWeth(1 ether, plan);
    }

    // What is held

    function test_leaves_what_the_owners_want_to_be_held() public {
        _pinStingy();
        for (uint256 i = 0; i < 2; ++i) {
            _sellWeth(44 ether, abi.encode(_worth(44 ether, _marketDollars())));
            skip(1 days);
            _answer(_marketDollars());
        }
        uint256 worth = _worth(3 ether, _marketDollars());
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.HeldTooLittle.selector, weth, 9 ether, LEAST_WETH));
        _sellWeth(3 ether, abi.encode(worth));
        _sellWeth(2 ether, abi.encode(worth));
    }

    function test_buys_no_more_than_the_owners_want_to_be_held() public {
        _pinStingy();
        _give(weth, address(safe), 90 ether); // on top of 100
        uint256 gives = _inWeth(1_000e6);
        uint256 held = 190 ether + gives;
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.HeldTooMuch.selector, weth, held, MOST_WETH));
        _buyWeth(1_000e6, abi.encode(gives));
        _sellWeth(1 ether, abi.encode(_worth(1 ether, _marketDollars()))); // the other way is open
    }

    function test_what_was_bought_must_arrive() public {
        FeeToken token = new FeeToken();
        SettableFeed one = new SettableFeed(8);
        address other = _pool(weth, dai, 3000); // stands in for one of this token and dollars, unit for unit
        vm.mockCall(other, abi.encodeWithSignature("token0()"), abi.encode(address(token)));
        vm.mockCall(other, abi.encodeWithSignature("token1()"), abi.encode(usdc));
        vm.mockCall(
            other, abi.encodeWithSelector(IPoolOracle.observe.selector), abi.encode(new int56[](2), new uint160[](2))
        );
        Change[4] memory changes = [
            Change(ChangeKind.Token, address(token), 0),
            Change(ChangeKind.HeldAtMost, address(token), 1e30),
            Change(ChangeKind.Pool, address(token), uint160(other)),
            _feedChange(address(token), address(one), MAX_AGE)
        ];
        for (uint256 i = 0; i < changes.length; ++i) {
            _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (changes[i])));
        }
        _pinStingy();
        for (uint256 i = 0; i < changes.length; ++i) {
            module.enact(address(safe), changes[i]);
        }
        one.set(1e20, block.timestamp);
        token.mint(address(stingy), 10_000e6);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TradeIncomplete.selector, token, 99e6, 100e6));
        module.trade(address(safe), usdc, 100e6, address(token), abi.encode(100e6));
    }

    // What the executor refuses

    function test_an_executor_takes_orders_from_its_module_alone() public {
        vm.prank(alice);
        vm.expectRevert(IArbExecutor.NotModule.selector);
        executor.trade(weth, 1, usdc, "");
    }

    function test_borrows_nothing_and_pays_no_builder() public {
        Header memory header = Plans.loan(Plans.BALANCER, 1 ether);
        bytes memory plan = Plans.pack(header, Plans.uniswapV3(usdc, 500));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.UnknownSource.selector, 1));
        _sellWeth(1 ether, plan);
        header = Plans.loan(Plans.NOBODY, 1);
        plan = Plans.pack(header, Plans.uniswapV3(usdc, 500));
        vm.expectRevert(IArbExecutor.WrongAmount.selector);
        _sellWeth(1 ether, plan);
        header = Plans.own();
        header.bid = 1;
        plan = Plans.pack(header, Plans.uniswapV3(usdc, 500));
        vm.expectRevert(IArbExecutor.WrongAmount.selector);
        _sellWeth(1 ether, plan);
    }

    function test_a_plan_holds_for_its_minimum_and_its_last_block() public {
        uint256 gives = _poolQuote(weth, usdc, 500, 1 ether);
        Header memory header = Plans.own();
        header.minimumProfit = uint128(gives + 1);
        bytes memory plan = Plans.pack(header, Plans.uniswapV3(usdc, 500));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, gives, gives + 1));
        _sellWeth(1 ether, plan);
        header.minimumProfit = uint128(gives);
        _sellWeth(1 ether, Plans.pack(header, Plans.uniswapV3(usdc, 500)));
        vm.roll(block.number + 1);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.PlanExpired.selector, header.lastBlock));
        _sellWeth(1 ether, plan);
    }

    function test_the_route_ends_with_what_is_bought() public {
        bytes memory plan = Plans.pack(Plans.own(), Plans.uniswapV3(dai, 3000));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.RouteNotClosed.selector, dai));
        _sellWeth(1 ether, plan);
    }
}
