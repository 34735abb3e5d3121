// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that calls whom it was told to in the middle of its next transfer, before anything has moved
contract EagerToken is ERC20 {
    address private target;
    bytes private data;

    constructor() ERC20("Eager", "EAGER") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function onNextTransfer(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        address called = from == address(0) ? address(0) : target;
        if (called != address(0)) {
            target = address(0);
            (bool done, bytes memory answer) = called.call(data);
            require(done, string(answer));
        }
        super._update(from, to, amount);
    }
}
