// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {HftToken} from "../../src/HftToken.sol";
import {StakingTest} from "../base/StakingTest.sol";

/// P1: the supply and its cap.
contract TokenTest is StakingTest {
    function test_the_cap_is_below_2_to_the_96() public {
        assertEq(token.cap(), 100_000_000 ether, "cap");
        assertLt(token.cap(), 1 << 96, "P1: room in an entry of the ledger");
        assertEq(token.totalSupply(), SUPPLY, "supply");
        assertEq(token.owner(), makeAddr("timelock"), "owner");
    }

    function test_the_owner_mints_up_to_the_cap(uint256 amount) public {
        amount = bound(amount, 0, token.cap() - SUPPLY);
        vm.prank(makeAddr("timelock"));
        token.mint(mallory, amount);
        assertEq(token.balanceOf(mallory), amount, "minted");
        assertLe(token.totalSupply(), token.cap(), "P1");
    }

    function test_nobody_mints_above_the_cap(uint256 amount) public {
        uint256 cap = token.cap();
        amount = bound(amount, cap - SUPPLY + 1, type(uint256).max - SUPPLY);
        vm.prank(makeAddr("timelock"));
        vm.expectRevert(abi.encodeWithSelector(ERC20Capped.ERC20ExceededCap.selector, SUPPLY + amount, cap));
        token.mint(mallory, amount);
    }

    function test_an_initial_supply_above_the_cap_is_refused() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                ERC20Capped.ERC20ExceededCap.selector, 100_000_000 ether + 1, uint256(100_000_000 ether)
            )
        );
        new HftToken(address(this), treasury, 100_000_000 ether + 1);
    }

    function test_others_do_not_mint() public {
        vm.prank(mallory);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, mallory));
        token.mint(mallory, 1);
    }

    function test_holders_burn_their_own(uint256 amount) public {
        amount = bound(amount, 0, SUPPLY);
        vm.prank(treasury);
        token.burn(amount);
        assertEq(token.totalSupply(), SUPPLY - amount, "supply");
    }

    function test_a_permit_allows(uint256 amount) public {
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                alice.key,
                bob.account,
                amount,
                0,
                block.timestamp
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), permit));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(alice.secret, digest);
        token.permit(alice.key, bob.account, amount, block.timestamp, v, r, s);
        assertEq(token.allowance(alice.key, bob.account), amount, "allowance");
    }
}
