// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbExecutor} from "../../src/interfaces/IArbExecutor.sol";
import {IVaultModule, TokenLimit} from "../../src/interfaces/IVaultModule.sol";

/// @title What looks like a Safe to the module, says that it has paid every draw, and pays none
contract RivalSafe {
    function open(IVaultModule module, address hotKey, IArbExecutor executor, address token) external {
        TokenLimit[] memory limits = new TokenLimit[](1);
        limits[0] = TokenLimit(token, type(uint128).max);
        module.open(hotKey, executor, 0, limits);
    }

    function isModuleEnabled(address) external pure returns (bool) {
        return true;
    }

    function execTransactionFromModule(address, uint256, bytes calldata, uint8) external pure returns (bool) {
        return true;
    }
}
