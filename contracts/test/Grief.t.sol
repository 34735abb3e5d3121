// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Plans} from "./base/Plans.sol";
import {IPair, IPairFactory} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {BombToken} from "./malicious/BombToken.sol";

/// Foreign code in the middle of a route that wants to hurt and cannot gain: answers without end, and gas burned.
/// What it can cost is the gas that the hot key gave; funds stay where they are, and the next execution goes as ever.
contract GriefTest is WorldTest {
    uint256 private constant GAS = 3_000_000;

    BombToken private bomb;
    bytes private plan;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
        bomb = new BombToken();
        IPairFactory factory = IPairFactory(_contract("uniswap_v2_factory"));
        _fill(factory.createPair(weth, address(bomb)), 10 ether, 10 ether);
        _fill(IPairFactory(_contract("sushi_factory")).createPair(weth, address(bomb)), 20 ether, 10 ether);
        plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(address(bomb)), Plans.sushi(weth)));
    }

    function _fill(address pair, uint256 wethAmount, uint256 bombAmount) private {
        _give(weth, pair, wethAmount);
        bomb.mint(pair, bombAmount);
        IPair(pair).mint(mallory);
    }

    function _attempt() private returns (bool done, uint256 spent) {
        uint256 before = gasleft();
        vm.prank(alice);
        (done,) = address(module).call{gas: GAS}(abi.encodeCall(module.execute, (address(safe), weth, 0.1 ether, plan)));
        spent = before - gasleft();
    }

    function _assertNothingHappened(uint256 safeBefore) private {
        assertEq(IERC20(weth).balanceOf(address(safe)), safeBefore, "the Safe's balance");
        _assertExecutorIsEmpty();
        assertEq(bomb.balanceOf(address(executor)), 0, "P17: a balance is left");
        assertGt(_execute(0.1 ether, _plan(Plans.own())), 0, "the next execution goes as ever");
    }

    function test_the_route_pays_without_a_bomb() public {
        (bool done,) = _attempt();
        assertTrue(done, "the route");
        _assertExecutorIsEmpty();
    }

    function test_an_answer_of_200_000_bytes_changes_nothing() public {
        bomb.arm(BombToken.Kind.Answer);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        (bool done,) = _attempt();
        assertTrue(done, "the route");
        assertGt(IERC20(weth).balanceOf(address(safe)), before, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_a_refusal_of_200_000_bytes_costs_gas_and_nothing_else() public {
        bomb.arm(BombToken.Kind.Refuse);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        (bool done,) = _attempt();
        assertFalse(done, "the route");
        _assertNothingHappened(before);
    }

    function test_all_gas_burned_costs_gas_and_nothing_else() public {
        bomb.arm(BombToken.Kind.Burn);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        (bool done, uint256 spent) = _attempt();
        assertFalse(done, "the route");
        assertLe(spent, GAS + 10_000, "no more gas than was given");
        _assertNothingHappened(before);
    }

    function test_too_little_gas_for_a_route_leaves_nothing_half_done(uint256 gas) public {
        gas = bound(gas, 60_000, 260_000);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        vm.prank(alice);
        (bool done,) =
            address(module).call{gas: gas}(abi.encodeCall(module.execute, (address(safe), weth, 0.1 ether, plan)));
        if (!done) _assertNothingHappened(before);
        else _assertExecutorIsEmpty();
    }
}
