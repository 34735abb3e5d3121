// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Header, Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";

contract RefusingBuilder {
    error Refused();

    receive() external payable {
        revert Refused();
    }
}

contract BombingBuilder {
    receive() external payable {
        assembly {
            return(0, 1000000)
        }
    }
}

/// P19: what builders get, by payment and by priority fee, and out of what.
contract BidTest is WorldTest {
    uint256 private proceeds;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(3_000_000);
        proceeds = _poolQuote(usdc, weth, 500, _pairQuote("uniswap_v2_router", weth, usdc, 10 ether));
    }

    function _bid(uint256 bid) private view returns (bytes memory) {
        Header memory header = Plans.own();
        header.bid = uint96(bid);
        return _plan(header);
    }

    function test_comes_out_of_the_profit_to_the_wei(uint256 bid) public {
        bid = bound(bid, 0, BID_CAP);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        uint256 profit = _execute(10 ether, _bid(bid));
        assertEq(profit, proceeds - 10 ether - bid, "what is left to the Safe");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + profit, "the Safe's balance");
        assertEq(builder.balance, bid, "the builder's ether");
        _assertExecutorIsEmpty();
    }

    function test_is_refused_above_the_cap(uint256 bid) public {
        bid = bound(bid, uint256(BID_CAP) + 1, type(uint96).max);
        bytes memory plan = _bid(bid);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.BidAboveCap.selector, bid, BID_CAP));
        _execute(10 ether, plan);
    }

    function test_never_comes_out_of_the_principal() public {
        proceeds = _poolQuote(usdc, weth, 500, _pairQuote("uniswap_v2_router", weth, usdc, 0.001 ether));
        uint256 bid = proceeds - 0.001 ether + 1;
        bytes memory plan = _bid(bid);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ProfitBelowMinimum.selector, proceeds, 0.001 ether + bid));
        _execute(0.001 ether, plan);
    }

    function test_is_refused_out_of_another_token() public {
        Header memory header = Plans.loan(Plans.AAVE, 5_000e6);
        header.bid = 1;
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(weth, 500), Plans.uniswapV2(usdc));
        bytes memory plan = Plans.pack(header, hops);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.BidNotInWeth.selector, usdc));
        module.execute(address(safe), usdc, 0, plan);
    }

    function test_includes_the_priority_fee_at_the_gas_limit() public {
        bytes memory plan = _bid(0.9 ether);
        vm.fee(10 gwei);
        vm.txGasPrice(10 gwei + 100 gwei); // at 1.5 million gas and some, 0.15 ether and some
        vm.prank(alice);
        vm.expectPartialRevert(IArbExecutor.BidAboveCap.selector);
        module.execute{gas: 1_500_000}(address(safe), weth, 10 ether, plan);
        vm.txGasPrice(10 gwei + 10 gwei);
        vm.prank(alice);
        module.execute{gas: 1_500_000}(address(safe), weth, 10 ether, plan);
        assertEq(builder.balance, 0.9 ether, "the builder's ether");
    }

    function test_is_refused_where_the_priority_fee_alone_is_above_the_cap() public {
        bytes memory plan = _plan(Plans.own());
        vm.fee(10 gwei);
        vm.txGasPrice(10 gwei + 1_000 gwei);
        vm.prank(alice);
        vm.expectPartialRevert(IVaultModule.PriorityFeeAboveCap.selector);
        module.execute{gas: 1_500_000}(address(safe), weth, 10 ether, plan);
    }

    function test_has_no_priority_fee_in_a_simulation_without_a_gas_price() public {
        vm.fee(10 gwei);
        vm.txGasPrice(0);
        _execute(10 ether, _bid(BID_CAP));
        assertEq(builder.balance, BID_CAP, "the builder's ether");
    }

    function test_is_refused_where_the_builder_refuses() public {
        vm.coinbase(address(new RefusingBuilder()));
        bytes memory plan = _bid(1);
        vm.expectRevert(IArbExecutor.BuilderRefused.selector);
        _execute(10 ether, plan);
    }

    function test_copies_nothing_of_what_a_builder_returns() public {
        bytes memory plan = _bid(1);
        vm.coinbase(address(new BombingBuilder()));
        uint256 gas = gasleft();
        _execute(10 ether, plan);
        assertLt(gas - gasleft(), 2_800_000, "a megabyte is expanded by the builder once, not copied by us");
    }

    function test_takes_no_ether_but_from_weth() public {
        vm.deal(mallory, 1 ether);
        vm.prank(mallory);
        (bool done, bytes memory answer) = address(executor).call{value: 1}("");
        assertFalse(done, "ether of a stranger");
        assertEq(bytes4(answer), IArbExecutor.UnexpectedEther.selector, "the reason");
    }
}
