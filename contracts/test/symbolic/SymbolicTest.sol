// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The cheat codes that these checks use
interface ISymbolicVm {
    function warp(uint256 timestamp) external;
    function roll(uint256 number) external;
    function fee(uint256 baseFee) external;
    function assume(bool condition) external pure;
}

/// @title What every symbolic check stands on: halmos runs `check_…` with parameters that may be anything
abstract contract SymbolicTest {
    ISymbolicVm internal constant vm = ISymbolicVm(address(uint160(uint256(keccak256("hevm cheat code")))));
}
