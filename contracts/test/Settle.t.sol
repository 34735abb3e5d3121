// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {CallingExecutor, KeepingExecutor} from "./malicious/Executors.sol";
import {FeeToken} from "./malicious/FeeToken.sol";

/// P14: whatever the executor or the token does, what was drawn is back in the Safe, or nothing has happened.
contract SettleTest is WorldTest {
    function _pinExecutor(address other) private {
        _loosen(Change(ChangeKind.Executor, other, 0));
    }

    function _refuses(uint256 drawn) private {
        uint256 before = IERC20(weth).balanceOf(address(safe));
        vm.prank(alice);
        (bool done,) = address(module).call(abi.encodeCall(IVaultModule.execute, (address(safe), weth, drawn, "")));
        assertFalse(done, "P14: the execution");
        assertEq(IERC20(weth).balanceOf(address(safe)), before, "P14: the Safe's balance");
    }

    function test_an_executor_that_owes_less_than_was_drawn_is_refused(uint256 drawn, uint256 claimed) public {
        drawn = bound(drawn, 1, MAX_DRAW);
        claimed = bound(claimed, 0, drawn - 1);
        _pinExecutor(address(new KeepingExecutor(claimed, drawn)));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.PrincipalMissing.selector, claimed, drawn));
        module.execute(address(safe), weth, drawn, "");
        _refuses(drawn);
    }

    function test_an_executor_that_claims_more_than_it_allows_is_refused(uint256 drawn, uint256 allowed) public {
        drawn = bound(drawn, 1, MAX_DRAW);
        allowed = bound(allowed, 0, drawn - 1);
        _pinExecutor(address(new KeepingExecutor(drawn, allowed)));
        _refuses(drawn);
    }

    function test_a_gift_to_the_safe_does_not_stand_in_for_the_pull() public {
        CallingExecutor calling = new CallingExecutor();
        _pinExecutor(address(calling));
        uint256 before = IERC20(weth).balanceOf(address(safe));
        // The executor sends 1 ether straight to the Safe: the pull still wants all that was drawn, and 1 is missing.
        bytes memory gift = abi.encodePacked(weth, abi.encodeCall(IERC20.transfer, (address(safe), 1 ether)));
        vm.prank(alice);
        vm.expectRevert(bytes("")); // WETH gives no reason
        module.execute(address(safe), weth, 5 ether, gift);
        assertEq(IERC20(weth).balanceOf(address(safe)), before, "P14: the Safe's balance");
    }

    function test_an_executor_can_call_nothing_that_its_pinning_did_not_give_it() public {
        CallingExecutor calling = new CallingExecutor();
        _pinExecutor(address(calling));
        bytes memory again = abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, ""));
        vm.prank(alice);
        module.execute(address(safe), weth, 5 ether, abi.encodePacked(address(module), again));
        assertEq(bytes4(calling.answer()), IVaultModule.NotOperator.selector, "an executor is no hot key");
        bytes memory steal = abi.encodeCall(IERC20.transferFrom, (address(safe), mallory, 1));
        vm.prank(alice);
        module.execute(address(safe), weth, 5 ether, abi.encodePacked(weth, steal));
        assertFalse(calling.succeeded(), "there is no allowance to use");
    }

    function test_a_token_of_which_less_arrives_than_is_sent_is_refused(uint256 drawn) public {
        FeeToken token = new FeeToken();
        token.mint(address(safe), 100 ether);
        drawn = bound(drawn, 100, 10 ether);
        CallingExecutor calling = new CallingExecutor();
        _pinExecutor(address(calling));
        _loosen(Change(ChangeKind.Token, address(token), 10 ether));
        token.mint(address(calling), 1 ether); // so that the pull itself does not fail
        bytes memory nothing = abi.encodePacked(address(token), abi.encodeCall(IERC20.totalSupply, ()));
        vm.prank(alice);
        vm.expectPartialRevert(IVaultModule.PrincipalMissing.selector);
        module.execute(address(safe), address(token), drawn, nothing);
        assertEq(token.balanceOf(address(safe)), 100 ether, "P14: the Safe's balance");
    }

    function test_a_route_through_a_token_that_takes_a_fee_is_refused() public {
        address fee = _token("FEE");
        _makePairOnSushi(fee, 100_000 ether, 200 ether); // where it buys more WETH than it costs on Uniswap V2
        bytes memory plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(fee), Plans.sushi(weth)));
        vm.expectRevert(bytes("UniswapV2: K")); // the pair got less than was sent to it
        _execute(1 ether, plan);
    }

    function _makePairOnSushi(address token, uint256 amount, uint256 ether_) private {
        bytes memory create = abi.encodeWithSignature("createPair(address,address)", token, weth);
        (bool done, bytes memory answer) = _contract("sushi_factory").call(create);
        assertTrue(done, "a pair");
        address pair = abi.decode(answer, (address));
        _give(token, pair, amount);
        _give(weth, pair, ether_);
        (done,) = pair.call(abi.encodeWithSignature("mint(address)", address(this)));
        assertTrue(done, "its liquidity");
    }
}
