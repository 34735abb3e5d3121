// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Header, Plans} from "./base/Plans.sol";
import {IAaveAccounts, IMorphoMarkets} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Liquidations on Aave V3 and on Morpho Blue as hops: debt in, collateral out, the rest of the route sells it.
contract LiquidateTest is WorldTest {
    uint64 private constant LLTV = 0.86e18;

    IAaveAccounts private aave;
    IMorphoMarkets private morpho;
    address private aaveBorrower;
    address private morphoBorrower;
    IMorphoMarkets.MarketParams private params;
    bytes32 private marketId;

    function setUp() public override {
        super.setUp();
        (aave, morpho) = (IAaveAccounts(_contract("aave_pool")), IMorphoMarkets(_contract("morpho")));
        (aaveBorrower, morphoBorrower) = (_account("borrower-0"), _account("morpho-borrower-0"));
        params = IMorphoMarkets.MarketParams(
            usdc, weth, _contract("morpho_oracle_WETH_USDC"), _contract("morpho_irm"), LLTV
        );
        marketId = keccak256(abi.encode(params));
    }

    function _morphoHop(uint128 shares) private view returns (bytes memory) {
        return Plans.morphoLiquidation(weth, morphoBorrower, params.oracle, params.irm, LLTV, shares);
    }

    /// What this very liquidation takes and gives when somebody else does it.
    function _tried(uint256 amount, uint128 shares, bool onAave) private returns (uint256 taken, uint256 given) {
        uint256 snapshot = vm.snapshotState();
        _give(usdc, address(this), amount);
        IERC20(usdc).approve(onAave ? address(aave) : address(morpho), amount);
        uint256 before = IERC20(weth).balanceOf(address(this));
        if (onAave) aave.liquidationCall(weth, usdc, aaveBorrower, amount, false);
        else morpho.liquidate(params, morphoBorrower, 0, shares, "");
        (taken, given) =
        (amount - IERC20(usdc).balanceOf(address(this)), IERC20(weth).balanceOf(address(this)) - before);
        vm.revertToState(snapshot);
    }

    function _executeInDollars(Header memory header, bytes memory hops) private returns (uint256 profit) {
        bytes memory plan = Plans.pack(header, hops);
        vm.prank(alice);
        profit = module.execute(address(safe), usdc, 0, plan);
        _assertExecutorIsEmpty();
    }

    // Aave

    function test_on_aave_sells_what_it_gets(uint256 amount) public {
        _movePrice("WETH", 970);
        amount = bound(amount, 10e6, 100_000e6);
        (uint256 taken, uint256 given) = _tried(amount, 0, true);
        assertEq(taken, amount, "below the close factor all is taken");
        uint256 expected = _poolQuote(weth, usdc, 500, given);
        bytes memory hops = abi.encodePacked(Plans.aaveLiquidation(weth, aaveBorrower), Plans.uniswapV3(usdc, 500));
        uint256 before = IERC20(usdc).balanceOf(address(safe));
        uint256 profit = _executeInDollars(Plans.loan(Plans.MORPHO, amount), hops);
        assertEq(profit, expected - amount, "P18: the profit returned");
        assertEq(IERC20(usdc).balanceOf(address(safe)), before + profit, "P14: the Safe's balance");
    }

    function test_on_aave_goes_straight_on_to_a_pair(uint256 amount) public {
        _movePrice("WETH", 970);
        amount = bound(amount, 10e6, 50_000e6);
        (, uint256 given) = _tried(amount, 0, true);
        uint256 expected = _pairQuote("uniswap_v2_router", weth, usdc, given);
        bytes memory hops = abi.encodePacked(Plans.aaveLiquidation(weth, aaveBorrower), Plans.uniswapV2(usdc));
        assertEq(
            _executeInDollars(Plans.loan(Plans.AAVE, amount), hops), expected - amount - _premium(amount), "profit"
        );
    }

    function _premium(uint256 amount) private pure returns (uint256) {
        return (amount * 5 + 5_000) / 10_000;
    }

    function test_on_aave_keeps_what_is_not_taken_of_the_cycles_token(uint256 excess) public {
        _movePrice("WETH", 970);
        (, uint256 debtBase,,,,) = aave.getUserAccountData(aaveBorrower);
        uint256 amount = debtBase / 100 + bound(excess, 1, 1_000_000e6); // beyond half the debt, in dollars of 6 decimals
        (uint256 taken, uint256 given) = _tried(amount, 0, true);
        assertLt(taken, amount, "the close factor leaves some");
        uint256 expected = _poolQuote(weth, usdc, 500, given) + amount - taken;
        bytes memory hops = abi.encodePacked(Plans.aaveLiquidation(weth, aaveBorrower), Plans.uniswapV3(usdc, 500));
        assertEq(
            _executeInDollars(Plans.loan(Plans.MORPHO, amount), hops), expected - amount, "P18: the profit returned"
        );
    }

    function test_on_aave_in_the_middle_of_a_cycle_takes_all_or_nothing() public {
        _movePrice("WETH", 970);
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.aaveLiquidation(weth, aaveBorrower));
        uint256 profit = _execute(1 ether, Plans.pack(Plans.own(), hops));
        assertGt(profit, 0.04 ether, "the bonus and the fall of the feed");
        _assertExecutorIsEmpty();
        _give(weth, address(safe), 100 ether);
        bytes memory plan = Plans.pack(Plans.loan(Plans.BALANCER, 60 ether), hops);
        vm.expectPartialRevert(IArbExecutor.PartialFill.selector);
        _execute(40 ether, plan);
    }

    function test_on_aave_of_a_healthy_borrower_is_refused() public {
        bytes memory hops = abi.encodePacked(Plans.aaveLiquidation(weth, aaveBorrower), Plans.uniswapV3(usdc, 500));
        bytes memory plan = Plans.pack(Plans.loan(Plans.MORPHO, 1_000e6), hops);
        vm.prank(alice);
        vm.expectRevert(bytes("45")); // HEALTH_FACTOR_NOT_BELOW_THRESHOLD
        module.execute(address(safe), usdc, 0, plan);
    }

    function test_with_less_collateral_than_the_minimum_is_refused() public {
        _movePrice("WETH", 970);
        (, uint256 given) = _tried(1_000e6, 0, true);
        uint32 minimum = Plans.rounded(2 * given);
        bytes memory hop = Plans.aaveLiquidation(weth, aaveBorrower, 2 * given);
        bytes memory plan =
            Plans.pack(Plans.loan(Plans.MORPHO, 1_000e6), abi.encodePacked(hop, Plans.uniswapV3(usdc, 500)));
        uint256 least = uint256(minimum & 0xffffff) << (minimum >> 24);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.LegBelowMinimum.selector, 0, given, least));
        module.execute(address(safe), usdc, 0, plan);
    }

    // Morpho

    function _shares() private view returns (uint128 shares) {
        (, shares,) = morpho.position(marketId, morphoBorrower);
    }

    function test_on_morpho_sells_what_it_gets_and_keeps_the_rest(uint256 part, uint256 excess) public {
        _movePrice("WETH", 970);
        uint128 shares = uint128(bound(part, 1e6, uint256(_shares()) * 9 / 10));
        (uint256 taken, uint256 given) = _tried(1_000_000e6, shares, false);
        uint256 amount = taken + bound(excess, 0, 10_000e6);
        uint256 expected = given == 0 ? 0 : _poolQuote(weth, usdc, 500, given);
        vm.assume(expected > taken);
        bytes memory hops = abi.encodePacked(_morphoHop(shares), Plans.uniswapV3(usdc, 500));
        uint256 before = IERC20(usdc).balanceOf(address(safe));
        uint256 profit = _executeInDollars(Plans.loan(Plans.MORPHO, amount), hops);
        assertEq(profit, expected - taken, "P18: the profit returned");
        assertEq(IERC20(usdc).balanceOf(address(safe)), before + profit, "P14: the Safe's balance");
    }

    function test_on_morpho_goes_straight_on_to_a_pair() public {
        _movePrice("WETH", 970);
        uint128 shares = _shares() / 10;
        (uint256 taken, uint256 given) = _tried(1_000_000e6, shares, false);
        uint256 expected = _pairQuote("sushi_router", weth, usdc, given);
        bytes memory hops = abi.encodePacked(_morphoHop(shares), Plans.sushi(usdc));
        assertEq(_executeInDollars(Plans.loan(Plans.BALANCER, taken), hops), expected - taken, "the profit");
    }

    function test_on_morpho_for_more_than_the_route_holds_is_refused() public {
        _movePrice("WETH", 970);
        uint128 shares = _shares() / 2;
        (uint256 taken,) = _tried(1_000_000e6, shares, false);
        bytes memory plan = Plans.pack(
            Plans.loan(Plans.BALANCER, taken - 1), abi.encodePacked(_morphoHop(shares), Plans.uniswapV3(usdc, 500))
        );
        vm.prank(alice);
        vm.expectRevert(bytes("transferFrom reverted"));
        module.execute(address(safe), usdc, 0, plan);
    }

    function test_on_morpho_of_a_healthy_borrower_is_refused() public {
        bytes memory plan = Plans.pack(
            Plans.loan(Plans.MORPHO, 1_000e6), abi.encodePacked(_morphoHop(1e9), Plans.uniswapV3(usdc, 500))
        );
        vm.prank(alice);
        vm.expectRevert(bytes("position is healthy"));
        module.execute(address(safe), usdc, 0, plan);
    }

    function test_on_morpho_in_the_middle_of_a_cycle_with_something_left_is_refused() public {
        _movePrice("WETH", 970);
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), _morphoHop(_shares() / 100));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        vm.expectPartialRevert(IArbExecutor.PartialFill.selector);
        _execute(1 ether, plan);
    }
}
