// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {OwnEntry} from "./Executors.sol";

/// @title An executor that takes of what it sells all that the Safe has allowed it besides, and gives what its plan says
contract GrabbingExecutor is OwnEntry {
    address private immutable SAFE;

    constructor(address safe) {
        SAFE = safe;
    }

    function trade(address sold, uint256, address bought, bytes calldata plan) external returns (uint256 given) {
        uint256 allowed = IERC20(sold).allowance(SAFE, address(this));
        require(IERC20(sold).transferFrom(SAFE, address(this), allowed), "what was allowed");
        given = abi.decode(plan, (uint256));
        IERC20(bought).approve(msg.sender, given);
    }
}
