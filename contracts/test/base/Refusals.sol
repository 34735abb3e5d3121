// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NodeStaking} from "../../src/NodeStaking.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {Words} from "./Words.sol";

/// @title What a registry says of signatures that prove nothing
library Refusals {
    /// A signature of something else: it recovers to a key that nobody has, or to none.
    function notSigned(NodeStaking registry, address operator, bytes32 structHash, bytes memory signature)
        internal
        view
        returns (bytes memory)
    {
        (bytes32 r, bytes32 s, uint8 v) = Words.split(signature);
        bytes32 digest = Words.digest(Words.separator(block.chainid, address(registry)), structHash);
        address key = ecrecover(digest, v, r, s);
        if (key == address(0) || uint256(s) > Words.CURVE_ORDER / 2) {
            return abi.encodePacked(INodeStaking.BadSignature.selector);
        }
        return abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, operator, key);
    }
}
