// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {IdleToken} from "./malicious/FeeToken.sol";

/// Deposits on an exchange: to accounts that the owners have pinned, up to a cap a day.
contract DepositTest is WorldTest {
    uint96 private constant CAP = 10 ether;
    address private immutable exchange = makeAddr("the Safe's account on an exchange");

    function setUp() public override {
        super.setUp();
        _loosen(_depositChange(exchange, weth, CAP));
    }

    function _deposit(address by, address token, address to, uint256 amount) private {
        vm.prank(by);
        module.deposit(address(safe), token, to, amount);
    }

    function test_goes_to_the_pinned_account(uint256 amount) public {
        amount = bound(amount, 1, CAP);
        vm.expectEmit(address(module));
        emit IVaultModule.Deposited(address(safe), exchange, weth, amount);
        _deposit(alice, weth, exchange, amount);
        assertEq(IERC20(weth).balanceOf(exchange), amount, "on the exchange");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL - amount, "in the Safe");
        (uint96 cap, uint96 sent) = module.depositOf(address(safe), exchange, weth);
        assertTrue(cap == CAP && sent == amount, "what is told of it");
    }

    function test_comes_to_at_most_the_cap_in_a_day(uint256 first, uint256 second) public {
        vm.warp((block.timestamp / 1 days + 1) * 1 days);
        first = bound(first, 1, CAP);
        second = bound(second, CAP - first + 1, CAP);
        _deposit(alice, weth, exchange, first);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositAboveCap.selector, first + second, CAP));
        _deposit(alice, weth, exchange, second);
        skip(1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositAboveCap.selector, first + second, CAP));
        _deposit(alice, weth, exchange, second);
        skip(1);
        (, uint96 sent) = module.depositOf(address(safe), exchange, weth);
        assertEq(sent, 0, "sent on a new day");
        _deposit(alice, weth, exchange, second);
    }

    function test_comes_to_the_very_cap_in_a_day_and_to_one_more_it_does_not(uint256 first) public {
        first = bound(first, 1, CAP - 1);
        _deposit(alice, weth, exchange, first);
        _deposit(alice, weth, exchange, CAP - first);
        assertEq(IERC20(weth).balanceOf(exchange), CAP, "on the exchange");
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositAboveCap.selector, CAP + 1, CAP));
        _deposit(alice, weth, exchange, 1);
    }

    function test_goes_nowhere_else(address to) public {
        vm.assume(to != exchange);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositAboveCap.selector, 1, 0));
        _deposit(alice, weth, to, 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositAboveCap.selector, 1, 0));
        _deposit(alice, usdc, exchange, 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TokenNotPinned.selector, dai));
        _deposit(alice, dai, exchange, 1);
    }

    function test_of_nothing_is_refused_wherever_it_goes(address to) public {
        vm.expectRevert(IVaultModule.NothingToDeposit.selector);
        _deposit(alice, weth, to, 0);
        vm.expectRevert(IVaultModule.NothingToDeposit.selector);
        _deposit(alice, weth, exchange, 0);
    }

    function test_is_the_hot_keys_alone(address other) public {
        vm.assume(other != alice);
        vm.expectRevert(IVaultModule.NotOperator.selector);
        _deposit(other, weth, exchange, 1);
    }

    function test_stops_with_the_vault_and_with_its_token() public {
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.Unpin, weth, 0));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TokenNotPinned.selector, weth));
        _deposit(alice, weth, exchange, 1);
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.Pause, address(0), 1));
        vm.expectRevert(IVaultModule.VaultPaused.selector);
        _deposit(alice, weth, exchange, 1);
    }

    function test_a_token_that_does_not_move_is_noticed() public {
        IdleToken idle = new IdleToken();
        idle.mint(address(safe), 1 ether);
        _loosen(Change(ChangeKind.Token, address(idle), 0));
        _loosen(_depositChange(exchange, address(idle), CAP));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.DepositIncomplete.selector, 1 ether, 1 ether));
        _deposit(alice, address(idle), exchange, 1 ether);
    }

    function test_an_account_is_added_by_the_safe_and_48_hours_and_taken_out_at_once(uint256 lower) public {
        lower = bound(lower, 0, CAP - 1);
        vm.prank(bob);
        vm.expectRevert(IVaultModule.NotTighter.selector);
        module.tighten(address(safe), _depositChange(exchange, weth, CAP));
        vm.prank(alice);
        module.tighten(address(safe), _depositChange(exchange, weth, lower));
        (uint96 cap,) = module.depositOf(address(safe), exchange, weth);
        assertEq(cap, lower, "cap");
        vm.prank(bob);
        vm.expectRevert(IVaultModule.NotTighter.selector);
        module.tighten(address(safe), Change(ChangeKind.Deposit, mallory, (1 << 160) | uint160(weth)));
    }

    function test_an_account_that_makes_no_sense_is_refused() public {
        Change[4] memory odd = [
            Change(ChangeKind.Deposit, address(0), (1 << 160) | uint160(weth)),
            Change(ChangeKind.Deposit, address(safe), (1 << 160) | uint160(weth)),
            Change(ChangeKind.Deposit, exchange, (1 << 160) | uint160(mallory)),
            Change(ChangeKind.Deposit, exchange, (1 << 160) | uint160(address(safe)))
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            vm.prank(address(safe));
            vm.expectRevert(IVaultModule.MalformedChange.selector);
            module.propose(odd[i]);
        }
    }
}
