// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The token that is staked
/// @notice ERC-20 with permit (ERC-2612). Its owner, the Timelock, may mint up to the cap; holders may burn their own.
/// It has no votes: stake has, in `NodeStaking`.
///
/// P1  The supply never exceeds the cap, which is below 2^96.
contract HftToken is ERC20, ERC20Permit, ERC20Capped, ERC20Burnable, Ownable {
    /// @param owner The Timelock.
    /// @param holder Gets the initial supply.
    /// @param supply The initial supply, smallest units; at most the cap.
    constructor(address owner, address holder, uint256 supply)
        ERC20("hftnode", "HFT")
        ERC20Permit("hftnode")
        ERC20Capped(100_000_000 ether)
        Ownable(owner)
    {
        _mint(holder, supply);
    }

    /// @notice Mint for `to`, up to the cap. Only the owner.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override(ERC20, ERC20Capped) {
        ERC20Capped._update(from, to, amount);
    }
}
