// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind} from "../src/interfaces/IVaultModule.sol";
import {FlashPurse} from "./base/FlashPurse.sol";
import {Header, Plans} from "./base/Plans.sol";
import {IAaveLending} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {RefusingLender} from "./malicious/Lenders.sol";

/// Executions on flash loans of the five kinds of lenders, alone and together with what is drawn.
contract BorrowTest is WorldTest {
    uint256 private constant BASIS_POINTS = 10_000;
    uint256 private constant PIPS = 1e6;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
    }

    function _proceeds(uint256 amountIn) private returns (uint256) {
        return _poolQuote(usdc, weth, 500, _pairQuote("uniswap_v2_router", weth, usdc, amountIn));
    }

    function _check(uint256 drawn, Header memory header, bytes memory rest, uint256 fee) private {
        uint256 before = IERC20(weth).balanceOf(address(safe));
        uint256 expected = _proceeds(drawn + header.borrowed) - drawn - header.borrowed - fee;
        assertEq(_execute(drawn, Plans.pack(header, rest)), expected, "the profit returned");
        assertEq(IERC20(weth).balanceOf(address(safe)), before + expected, "the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_from_balancer_for_nothing(uint256 borrowed, uint256 drawn) public {
        (borrowed, drawn) = (bound(borrowed, 1e12, 10 ether), bound(drawn, 0, 10 ether));
        _check(drawn, Plans.loan(Plans.BALANCER, borrowed), _twoHops(), 0);
    }

    function test_from_aave_for_its_premium(uint256 borrowed, uint256 drawn) public {
        (borrowed, drawn) = (bound(borrowed, 1e12, 10 ether), bound(drawn, 0, 10 ether));
        uint256 premium = IAaveLending(_contract("aave_pool")).FLASHLOAN_PREMIUM_TOTAL();
        uint256 fee = (borrowed * premium + BASIS_POINTS / 2) / BASIS_POINTS; // PercentageMath rounds to the nearest
        _check(drawn, Plans.loan(Plans.AAVE, borrowed), _twoHops(), fee);
    }

    function test_from_a_pool_of_uniswap_v3_for_its_fee(uint256 borrowed, uint256 drawn) public {
        (borrowed, drawn) = (bound(borrowed, 1e12, 10 ether), bound(drawn, 0, 10 ether));
        uint24 fee = 3000;
        bytes memory rest = abi.encodePacked(Plans.lendingPool(usdc, fee), _twoHops());
        _check(drawn, Plans.loan(Plans.POOL, borrowed), rest, (borrowed * fee + PIPS - 1) / PIPS);
    }

    function test_from_morpho_for_nothing(uint256 borrowed, uint256 drawn) public {
        (borrowed, drawn) = (bound(borrowed, 1e12, 10 ether), bound(drawn, 0, 10 ether));
        _give(weth, address(this), 20 ether);
        IERC20(weth).transfer(_contract("morpho"), 20 ether); // it lends whatever it holds
        _check(drawn, Plans.loan(Plans.MORPHO, borrowed), _twoHops(), 0);
    }

    function test_from_a_listed_lender_for_its_fee(uint256 borrowed, uint256 drawn) public {
        (borrowed, drawn) = (bound(borrowed, 1e12, 10 ether), bound(drawn, 0, 10 ether));
        FlashPurse purse = _list(new FlashPurse(9));
        bytes memory rest = abi.encodePacked(address(purse), _twoHops());
        _check(drawn, Plans.loan(Plans.LISTED, borrowed), rest, purse.flashFee(weth, borrowed));
        assertEq(IERC20(weth).allowance(address(executor), address(purse)), 0, "P17: an allowance is left");
    }

    /// The vault's executor becomes one that lists this lender, which gets something to lend.
    function _list(FlashPurse purse) private returns (FlashPurse) {
        ExecutorBindings memory bindings = _bindings();
        bindings.flashLenders = new address[](1);
        bindings.flashLenders[0] = address(purse);
        executor = new ArbExecutor(bindings);
        _loosen(Change(ChangeKind.Executor, address(executor), 0));
        _give(weth, address(purse), 20 ether);
        return purse;
    }

    function test_from_a_lender_that_is_not_listed_is_refused() public {
        FlashPurse purse = new FlashPurse(9);
        bytes memory rest = abi.encodePacked(address(purse), _twoHops());
        bytes memory plan = Plans.pack(Plans.loan(Plans.LISTED, 1 ether), rest);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.LenderNotListed.selector, purse));
        _execute(0, plan);
    }

    function test_from_a_listed_lender_that_does_not_lend_is_refused() public {
        FlashPurse purse = _list(FlashPurse(address(new RefusingLender())));
        bytes memory plan = Plans.pack(Plans.loan(Plans.LISTED, 1 ether), abi.encodePacked(address(purse), _twoHops()));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.LoanRefused.selector, purse));
        _execute(0, plan);
    }

    function test_from_a_pool_in_which_the_token_is_the_other_one() public {
        bytes memory rest = abi.encodePacked(Plans.lendingPool(wbtc, 3000), _twoHops());
        assertTrue((weth < wbtc) != (weth < usdc), "the two pools hold WETH on different sides");
        _check(0, Plans.loan(Plans.POOL, 1 ether), rest, 0.003 ether);
    }

    function test_is_refused_when_the_route_does_not_repay() public {
        uint256 borrowed = 1_000 ether; // far beyond the spread
        uint256 proceeds = _proceeds(borrowed);
        bytes memory plan = _plan(Plans.loan(Plans.BALANCER, borrowed));
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.LoanNotCovered.selector, proceeds, borrowed));
        _execute(0, plan);
    }

    function test_takes_what_the_lender_has_and_no_more() public {
        uint256 held = IERC20(weth).balanceOf(_contract("balancer_vault"));
        bytes memory plan = _plan(Plans.loan(Plans.BALANCER, held + 1));
        vm.expectRevert(bytes("BAL#528"));
        _execute(0, plan);
    }

    function test_names_a_lending_pool_that_must_exist() public {
        bytes memory rest = abi.encodePacked(Plans.lendingPool(usdc, 123), _twoHops());
        bytes memory plan = Plans.pack(Plans.loan(Plans.POOL, 1 ether), rest);
        vm.expectPartialRevert(IArbExecutor.NoSuchPool.selector);
        _execute(0, plan);
    }

    function test_finds_the_lender_locked_where_it_should_swap_as_well() public {
        bytes memory onBalancer = abi.encodePacked(Plans.uniswapV2(usdc), Plans.balancer(weth, wethUsdcPoolId));
        bytes memory plan = Plans.pack(Plans.loan(Plans.BALANCER, 1 ether), onBalancer);
        vm.expectRevert(bytes("BAL#400"));
        _execute(0, plan);
        plan = Plans.pack(Plans.loan(Plans.POOL, 1 ether), abi.encodePacked(Plans.lendingPool(usdc, 500), _twoHops()));
        vm.expectRevert(bytes("LOK"));
        _execute(0, plan);
    }
}
