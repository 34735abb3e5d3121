// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A finder's offer to the leader of one block, signed by the finder's hot key (docs/protocol.md).
/// @param finder The finder's operator account.
/// @param executor The leader's operator account.
/// @param targetBlock The one block in which it may be executed.
/// @param finderBps The finder's share of the net profit, basis points.
/// @param minFinderWei The least that the finder gets, in the profit token's smallest unit.
/// @param profitToken What the finder is paid in.
/// @param payTo Who is paid.
/// @param primaryKey The leg on the pool that the trigger swaps in.
/// @param routeCommit Keccak-256 of the route's bytes.
struct Order {
    address finder;
    address executor;
    uint64 targetBlock;
    uint16 finderBps;
    uint128 minFinderWei;
    address profitToken;
    address payTo;
    bytes32 primaryKey;
    bytes32 routeCommit;
}

/// @notice The leader's promise to take one order for its leg and block.
struct Accept {
    bytes32 orderHash;
    bytes32 primaryKey;
    uint64 targetBlock;
    uint64 blockNumber;
    uint64 timestamp;
}

/// @notice What an operator found when it recomputed an alert at a block. Verdict: 1 confirmed, 2 refuted.
struct Attestation {
    bytes32 alertId;
    bytes32 blockHash;
    uint8 verdict;
    uint64 blockNumber;
    uint64 timestamp;
}

/// @title What operators sign by itself, byte for byte as docs/protocol.md has it
/// @dev The words of a statement are its encodeData: one Keccak over the type's hash and the words is its struct hash.
library Statements {
    /// @notice Not the words of such a statement: another length, padding, a number out of range, a zero member.
    error MalformedStatement();

    bytes32 internal constant ORDER_TYPE = keccak256(
        "Order(address finder,address executor,uint64 targetBlock,uint16 finderBps,uint128 minFinderWei,address profitToken,address payTo,bytes32 primaryKey,bytes32 routeCommit)"
    );
    bytes32 internal constant ACCEPT_TYPE = keccak256(
        "Accept(bytes32 orderHash,bytes32 primaryKey,uint64 targetBlock,uint64 blockNumber,uint64 timestamp)"
    );
    bytes32 internal constant ATTESTATION_TYPE =
        keccak256("Attestation(bytes32 alertId,bytes32 blockHash,uint8 verdict,uint64 blockNumber,uint64 timestamp)");
    /// @dev What a hot key signs once to belong to an operator.
    bytes32 internal constant BINDING_TYPE = keccak256("HotKeyBinding(address operator)");

    /// @dev Seconds for which a statement is evidence, and earns.
    uint256 internal constant MAX_AGE = 14 days;

    uint8 private constant REFUTED = 2;
    uint256 private constant FULL_BPS = 10_000;
    uint256 private constant WORDS = 5;

    /// @dev hashStruct of an order. A zero member, or a share of more than all, is malformed.
    function hash(Order calldata order) internal pure returns (bytes32) {
        bool isWhole = order.finder != address(0) && order.executor != address(0) && order.targetBlock != 0
            && order.minFinderWei != 0 && order.profitToken != address(0) && order.payTo != address(0)
            && order.primaryKey != 0 && order.routeCommit != 0;
        if (!isWhole || order.finderBps > FULL_BPS) revert MalformedStatement();
        return keccak256(abi.encode(ORDER_TYPE, order));
    }

    /// @dev hashStruct of a hot key's binding to an operator.
    function hashBinding(address operator) internal pure returns (bytes32) {
        return keccak256(abi.encode(BINDING_TYPE, operator));
    }

    /// @dev hashStruct of an attestation that is not read from words; as strict.
    function hash(Attestation calldata attestation) internal pure returns (bytes32) {
        bool isWhole = attestation.alertId != 0 && attestation.blockHash != 0 && attestation.verdict != 0
            && attestation.blockNumber != 0 && attestation.timestamp != 0;
        if (!isWhole || attestation.verdict > REFUTED) revert MalformedStatement();
        return keccak256(abi.encode(ATTESTATION_TYPE, attestation));
    }

    /// @dev Read an Accept from its words, and its hashStruct.
    function readAccept(bytes calldata words) internal pure returns (Accept memory accept, bytes32 structHash) {
        uint256[WORDS] memory read = _read(words);
        accept = Accept(bytes32(read[0]), bytes32(read[1]), _uint64(read[2]), _uint64(read[3]), _uint64(read[4]));
        structHash = keccak256(bytes.concat(ACCEPT_TYPE, words));
    }

    /// @dev Read an Attestation from its words, and its hashStruct.
    function readAttestation(bytes calldata words)
        internal
        pure
        returns (Attestation memory attestation, bytes32 structHash)
    {
        uint256[WORDS] memory read = _read(words);
        if (read[2] > REFUTED) revert MalformedStatement();
        attestation =
            Attestation(bytes32(read[0]), bytes32(read[1]), uint8(read[2]), _uint64(read[3]), _uint64(read[4]));
        structHash = keccak256(bytes.concat(ATTESTATION_TYPE, words));
    }

    function _read(bytes calldata words) private pure returns (uint256[WORDS] memory read) {
        if (words.length != WORDS * 32) revert MalformedStatement();
        read = abi.decode(words, (uint256[5]));
        for (uint256 i = 0; i < WORDS; ++i) {
            if (read[i] == 0) revert MalformedStatement();
        }
    }

    function _uint64(uint256 word) private pure returns (uint64) {
        if (word > type(uint64).max) revert MalformedStatement();
        return uint64(word); // forge-lint: disable-line(unsafe-typecast)
    }
}
