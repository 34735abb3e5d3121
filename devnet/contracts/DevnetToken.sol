// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token of the devnet: ours, not a genuine deployment, whatever its symbol
/// @notice OpenZeppelin's ERC-20 with a minter who hands out balances and approvals before the world begins
contract DevnetToken is ERC20 {
    address public immutable minter;
    uint8 private immutable _decimals;

    error OnlyMinter();

    modifier onlyMinter() {
        if (msg.sender != minter) revert OnlyMinter();
        _;
    }

    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        minter = msg.sender;
        _decimals = decimals_;
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    function mint(address to, uint256 amount) external onlyMinter {
        _mint(to, amount);
    }

    /// @notice Mint `amounts[i]` to `holders[i]` and let every spender spend without limit on every holder's behalf
    function grant(address[] calldata holders, uint256[] calldata amounts, address[] calldata spenders)
        external
        onlyMinter
    {
        for (uint256 i = 0; i < holders.length; ++i) {
            if (amounts[i] > 0) _mint(holders[i], amounts[i]);
            for (uint256 j = 0; j < spenders.length; ++j) {
                _approve(holders[i], spenders[j], type(uint256).max);
            }
        }
    }
}
