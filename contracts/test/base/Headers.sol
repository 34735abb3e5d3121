// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

/// @title Block headers as a chain has them, with a mixHash of our choice
library Headers {
    using RLP for RLP.Encoder;

    function header(uint256 number, uint256 timestamp, bytes32 mixHash) internal pure returns (bytes memory) {
        RLP.Encoder memory fields = RLP.encoder();
        fields.push(keccak256("parent")).push(keccak256("ommers")).push(address(0xc0ffee));
        fields.push(keccak256("state")).push(keccak256("transactions")).push(keccak256("receipts"));
        fields.push(new bytes(256)).push(uint256(0)).push(number).push(uint256(36_000_000)).push(uint256(21_000));
        fields.push(timestamp).push(bytes("built by us")).push(mixHash).push(abi.encodePacked(bytes8(0)));
        fields.push(uint256(7)).push(keccak256("withdrawals")).push(uint256(0)).push(uint256(0));
        fields.push(keccak256("beacon root")).push(keccak256("requests"));
        return fields.encode();
    }
}
