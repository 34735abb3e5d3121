// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What is drawn comes to the executor itself
abstract contract OwnEntry {
    function entryOf(address, bytes calldata) external view virtual returns (address) {
        return address(this);
    }
}

/// @title An executor that keeps part of what it was sent, and says what it was told to say
contract KeepingExecutor is OwnEntry {
    uint256 private immutable CLAIMED;
    uint256 private immutable ALLOWED;

    constructor(uint256 claimed, uint256 allowed) {
        (CLAIMED, ALLOWED) = (claimed, allowed);
    }

    function execute(address, address token, uint256, uint256, bytes calldata) external returns (uint256) {
        IERC20(token).approve(msg.sender, ALLOWED);
        return CLAIMED;
    }
}

/// @title One of these that has what is drawn sent elsewhere
contract StrayingExecutor is KeepingExecutor {
    address private immutable ENTRY;

    constructor(uint256 claimed, uint256 allowed, address entry) KeepingExecutor(claimed, allowed) {
        ENTRY = entry;
    }

    function entryOf(address, bytes calldata) external view override returns (address) {
        return ENTRY;
    }
}

/// @title An executor that calls what its plan says: target, then call data; and gives back what it was sent
contract CallingExecutor is OwnEntry {
    bytes public answer;
    bool public succeeded;

    function execute(address, address token, uint256 drawn, uint256, bytes calldata plan) external returns (uint256) {
        (succeeded, answer) = address(bytes20(plan[:20])).call(plan[20:]);
        IERC20(token).approve(msg.sender, drawn);
        return drawn;
    }
}

/// @title An executor that keeps all it is sent, and gives for it what its plan says, out of what it has
contract StingyExecutor is OwnEntry {
    function trade(address, uint256, address bought, bytes calldata plan) external returns (uint256 given) {
        given = abi.decode(plan, (uint256));
        IERC20(bought).approve(msg.sender, given);
    }
}

/// @title An executor that is its own hot key, and goes on in the midst of an execution
contract NestingExecutor is OwnEntry {
    address private immutable MODULE;
    bytes private inner;
    bytes public answer;

    constructor(address module) {
        MODULE = module;
    }

    function run(bytes calldata outer, bytes calldata inner_) external {
        inner = inner_;
        (bool done,) = MODULE.call(outer);
        require(done, "the outer call");
    }

    function execute(address, address token, uint256 drawn, uint256, bytes calldata) external returns (uint256) {
        (, answer) = MODULE.call(inner);
        IERC20(token).approve(msg.sender, drawn);
        return drawn;
    }
}
