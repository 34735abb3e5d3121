// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The messages of docs/protocol.md, written out a second time: what the contracts' own encoding is held against
library Words {
    uint256 internal constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function separator(uint256 chainId, address registry) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("hftnode"),
                keccak256("1"),
                chainId,
                registry
            )
        );
    }

    function digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function accept(bytes32 orderHash, bytes32 primaryKey, uint256 targetBlock, uint256 blockNumber, uint256 timestamp)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(orderHash, primaryKey, targetBlock, blockNumber, timestamp);
    }

    function attestation(bytes32 alertId, bytes32 blockHash, uint256 verdict, uint256 blockNumber, uint256 timestamp)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(alertId, blockHash, verdict, blockNumber, timestamp);
    }

    function hashAccept(bytes memory words) internal pure returns (bytes32) {
        bytes memory text =
            "Accept(bytes32 orderHash,bytes32 primaryKey,uint64 targetBlock,uint64 blockNumber,uint64 timestamp)";
        return keccak256(abi.encodePacked(keccak256(text), words));
    }

    function hashAttestation(bytes memory words) internal pure returns (bytes32) {
        bytes memory text =
            "Attestation(bytes32 alertId,bytes32 blockHash,uint8 verdict,uint64 blockNumber,uint64 timestamp)";
        return keccak256(abi.encodePacked(keccak256(text), words));
    }

    function hashOrder(bytes memory words) internal pure returns (bytes32) {
        bytes memory text =
            "Order(address finder,address executor,uint64 targetBlock,uint16 finderBps,uint128 minFinderWei,address profitToken,address payTo,bytes32 primaryKey,bytes32 routeCommit)";
        return keccak256(abi.encodePacked(keccak256(text), words));
    }

    function hashBinding(address operator) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("HotKeyBinding(address operator)"), operator));
    }

    /// The other signature that recovers to the same key: high s, other v.
    function twin(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }
}
