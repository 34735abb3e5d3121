// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IPair} from "../base/Protocols.sol";
import {HookedToken} from "./HookedToken.sol";

/// @title A pair that says what it has, and gives nothing
contract LazyPair {
    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (1_000 ether, 1_000 ether, 0);
    }

    function swap(uint256, uint256, address, bytes calldata) external {}
}

/// @title Where such pairs come from
contract LazyFactory {
    bytes32 public constant INIT_CODE_HASH = keccak256(type(LazyPair).creationCode);

    function createPair(address tokenA, address tokenB) external returns (address) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        return Create2.deploy(0, keccak256(abi.encodePacked(token0, token1)), type(LazyPair).creationCode);
    }
}

/// @title Takes out of a pair what it has not booked yet, and covers for it with tokens that cost nothing
contract Skimmer {
    function take(address pair, address to, HookedToken cover, uint256 amount) external {
        IPair(pair).skim(to);
        cover.mint(pair, amount);
    }
}
