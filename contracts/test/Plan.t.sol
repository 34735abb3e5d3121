// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Header, Plans} from "./base/Plans.sol";
import {IPool, IPoolFactory} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Plans that are refused: what they say cannot be, or came too late, or gave too little.
contract PlanTest is WorldTest {
    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
    }

    function _refuses(uint256 drawn, bytes memory plan, bytes memory revertData) private {
        vm.expectRevert(revertData);
        _execute(drawn, plan);
    }

    function _refusesHops(bytes memory hops, bytes memory revertData) private {
        _refuses(1 ether, Plans.pack(Plans.own(), hops), revertData);
    }

    function test_is_refused_to_everyone_but_the_module(address caller) public {
        vm.assume(caller != address(module));
        vm.prank(caller);
        vm.expectRevert(IArbExecutor.NotModule.selector);
        executor.execute(alice, weth, 1 ether, 0, _plan(Plans.own()));
    }

    function test_expires_after_its_last_block(uint40 blocks) public {
        blocks = uint40(bound(blocks, 1, 1e6));
        bytes memory plan = _plan(Plans.own());
        uint256 lastBlock = block.number;
        vm.roll(lastBlock + blocks);
        _refuses(1 ether, plan, abi.encodeWithSelector(IArbExecutor.PlanExpired.selector, lastBlock));
    }

    function test_runs_in_its_last_block() public {
        assertGt(_execute(1 ether, _plan(Plans.own())), 0, "the profit");
    }

    function test_cut_off_anywhere_but_between_hops_is_malformed(uint256 length) public {
        bytes memory plan = _plan(Plans.own());
        bytes memory firstHop = Plans.pack(Plans.own(), Plans.uniswapV2(usdc));
        length = bound(length, 0, plan.length - 1);
        vm.assume(length != firstHop.length);
        bytes memory cut = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            cut[i] = plan[i];
        }
        _refuses(1 ether, cut, abi.encodeWithSelector(IArbExecutor.MalformedPlan.selector));
    }

    function test_without_a_hop_is_malformed() public {
        bytes memory plan = Plans.pack(Plans.loan(Plans.AAVE, 1 ether), "");
        _refuses(0, plan, abi.encodeWithSelector(IArbExecutor.MalformedPlan.selector));
    }

    function test_from_an_unknown_source_is_refused(uint8 source) public {
        source = uint8(bound(source, 6, 239));
        if (source > 15) source += 16; // 0x1_ is an order
        bytes memory plan = _plan(Plans.loan(source, 1 ether));
        _refuses(0, plan, abi.encodeWithSelector(IArbExecutor.UnknownSource.selector, source));
    }

    function test_about_nothing_is_refused() public {
        bytes memory wrongAmount = abi.encodeWithSelector(IArbExecutor.WrongAmount.selector);
        _refuses(0, _plan(Plans.own()), wrongAmount);
        _refuses(1 ether, _plan(Plans.loan(Plans.NOBODY, 1 ether)), wrongAmount);
        _refuses(1 ether, _plan(Plans.loan(Plans.AAVE, 0)), wrongAmount);
    }

    function test_on_an_unknown_venue_is_refused(uint8 venue) public {
        venue = uint8(bound(venue, 10, 255));
        _refusesHops(
            abi.encodePacked(venue, usdc, uint32(0)), abi.encodeWithSelector(IArbExecutor.UnknownVenue.selector, venue)
        );
    }

    function test_on_pools_that_no_factory_has_made_is_refused() public {
        address nowhere = makeAddr("token without pools");
        bytes[3] memory hops = [Plans.uniswapV2(nowhere), Plans.sushi(nowhere), Plans.uniswapV3(nowhere, 500)];
        for (uint256 i = 0; i < hops.length; ++i) {
            bytes memory plan = Plans.pack(Plans.own(), hops[i]);
            vm.expectPartialRevert(IArbExecutor.NoSuchPool.selector);
            _execute(1 ether, plan);
        }
    }

    function test_that_ends_in_another_token_is_refused() public {
        _refusesHops(Plans.uniswapV2(usdc), abi.encodeWithSelector(IArbExecutor.RouteNotClosed.selector, usdc));
    }

    function test_with_a_leg_below_its_minimum_is_refused(uint256 excess) public {
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 bought = _poolQuote(usdc, weth, 500, dollars);
        uint256 minimum = dollars + bound(excess, 1 << 10, dollars); // what is rounded away is less
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc, minimum), Plans.uniswapV3(weth, 500));
        vm.expectPartialRevert(IArbExecutor.LegBelowMinimum.selector);
        _execute(1 ether, Plans.pack(Plans.own(), hops));
        uint256 tooMuch = 1 << 70;
        hops = abi.encodePacked(Plans.uniswapV2(usdc, dollars), Plans.uniswapV3(weth, 500, tooMuch));
        _refusesHops(hops, abi.encodeWithSelector(IArbExecutor.LegBelowMinimum.selector, 1, bought, tooMuch));
    }

    function test_that_a_pool_fills_only_in_part_is_refused() public {
        address pool = IPoolFactory(_contract("uniswap_v3_factory")).createPool(weth, wbtc, 10_000);
        IPool(pool).initialize(1 << 96); // without any liquidity
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(wbtc, 10_000), Plans.uniswapV3(weth, 500));
        // An empty pool takes nothing, so it calls back for nothing.
        _refusesHops(hops, abi.encodeWithSelector(IArbExecutor.PartialFill.selector, 0, 1 ether));
    }

    function test_below_its_minimum_profit_is_refused(uint256 excess) public {
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether);
        uint256 proceeds = _poolQuote(usdc, weth, 500, dollars);
        Header memory header = Plans.own();
        header.minimumProfit = uint128(proceeds - 1 ether);
        uint256 snapshot = vm.snapshotState();
        assertEq(_execute(1 ether, _plan(header)), header.minimumProfit, "P18: the very minimum is enough");
        vm.revertToState(snapshot);
        header.minimumProfit += uint128(bound(excess, 1, type(uint64).max));
        uint256 required = uint256(header.minimumProfit) + 1 ether;
        bytes memory revertData = abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds, required);
        _refuses(1 ether, _plan(header), revertData);
    }

    function test_at_a_loss_is_refused_even_without_a_minimum() public {
        bytes memory backwards = abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth));
        vm.expectPartialRevert(IArbExecutor.ProfitBelowMinimum.selector);
        _execute(1 ether, Plans.pack(Plans.own(), backwards));
    }
}
