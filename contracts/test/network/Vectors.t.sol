// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NodeStaking} from "../../src/NodeStaking.sol";
import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {Evidence} from "../../src/interfaces/ISlashingCourt.sol";
import {Accept, Attestation, Order, Statements} from "../../src/libraries/Statements.sol";
import {Person, StakingTest} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";

/// The vectors of protocol/vectors, which Python's tests replay too: the contracts hash and verify the very same bytes.
contract VectorsTest is StakingTest {
    /// What no contract reads: it is for finders.
    bytes32 private constant SEALING_KEY_TYPE =
        keccak256("SealingKey(address operator,bytes32 publicKey,uint64 fromBlock,uint64 untilBlock)");

    /// Where the vectors' devnet domain has its registry.
    address private constant REGISTRY = 0x5FbDB2315678afecb367f032d93F642f64180aa3;
    string private statements;
    string private direct;
    mapping(string signer => Person) private signers;

    function setUp() public override {
        super.setUp();
        statements = vm.readFile("../protocol/vectors/statements.json");
        direct = vm.readFile("../protocol/vectors/direct.json");
        address courtToBe = makeAddr("court");
        deployCodeTo("NodeStaking.sol", abi.encode(token, courtToBe, makeAddr("ledger")), REGISTRY);
        deployCodeTo("SlashingCourt.sol", abi.encode(REGISTRY, makeAddr("timelock")), courtToBe);
        (staking, court) = (NodeStaking(REGISTRY), SlashingCourt(courtToBe));
        string[3] memory names = ["alice", "bob", "carol"];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 secret = uint256(vm.parseJsonBytes32(statements, string.concat(".keys.", names[i], ".secret")));
            signers[names[i]] = Person(vm.addr(secret), vm.addr(secret), secret); // an account that is its own key
        }
    }

    function _at(uint256 index, string memory field) private view returns (string memory) {
        return string.concat(".vectors[", vm.toString(index), "].", field);
    }

    /// As the contracts read them.
    function hashOrder(Order calldata order) external pure returns (bytes32) {
        return Statements.hash(order);
    }

    function hashAccept(bytes calldata words) external pure returns (bytes32 hash) {
        (, hash) = Statements.readAccept(words);
    }

    function hashAttestation(bytes calldata words) external pure returns (bytes32 hash) {
        (, hash) = Statements.readAttestation(words);
    }

    function hashWholeAttestation(Attestation calldata attestation) external pure returns (bytes32) {
        return Statements.hash(attestation);
    }

    function test_every_statement_hashes_and_verifies() public {
        uint256 count;
        for (; vm.keyExistsJson(statements, _at(count, "name")); ++count) {
            bytes memory words = vm.parseJsonBytes(statements, _at(count, "words"));
            bytes32 typeHash = vm.parseJsonBytes32(statements, _at(count, "typeHash"));
            bytes32 structHash = vm.parseJsonBytes32(statements, _at(count, "structHash"));
            string memory name = vm.parseJsonString(statements, _at(count, "name"));
            assertEq(_hash(typeHash, words), structHash, name);
            _verify(count, structHash, name);
        }
        assertEq(count, 20, "vectors");
    }

    function _hash(bytes32 typeHash, bytes memory words) private view returns (bytes32) {
        if (typeHash == Statements.ORDER_TYPE) {
            assertEq(keccak256(bytes.concat(typeHash, words)), Words.hashOrder(words), "by words");
            return this.hashOrder(abi.decode(words, (Order)));
        }
        if (typeHash == Statements.ACCEPT_TYPE) return this.hashAccept(words);
        if (typeHash == Statements.BINDING_TYPE) return Statements.hashBinding(abi.decode(words, (address)));
        if (typeHash == SEALING_KEY_TYPE) return keccak256(bytes.concat(typeHash, words));
        assertEq(typeHash, Statements.ATTESTATION_TYPE, "type");
        assertEq(this.hashWholeAttestation(abi.decode(words, (Attestation))), this.hashAttestation(words), "by members");
        return this.hashAttestation(words);
    }

    /// Under the devnet's domain the registry itself tells the digest and takes the signature; under another it refuses.
    function _verify(uint256 index, bytes32 structHash, string memory name) private {
        bytes32 digest = vm.parseJsonBytes32(statements, _at(index, "digest"));
        bytes memory signature = vm.parseJsonBytes(statements, _at(index, "signature"));
        Person memory signer = signers[vm.parseJsonString(statements, _at(index, "signer"))];
        string memory domain = vm.parseJsonString(statements, _at(index, "domain"));
        bytes32 separator = vm.parseJsonBytes32(statements, string.concat(".domains.", domain, ".separator"));
        assertEq(Words.digest(separator, structHash), digest, name);
        if (staking.operatorAt(signer.account).hotKey == address(0)) _register(signer);
        if (keccak256(bytes(domain)) == keccak256("devnet")) {
            assertEq(staking.domainSeparator(), separator, "domain");
            assertEq(
                staking.requireSigned(signer.account, structHash, signature, block.number, block.timestamp),
                digest,
                name
            );
        } else {
            vm.expectPartialRevert(INodeStaking.KeyNotInForce.selector);
            staking.requireSigned(signer.account, structHash, signature, block.number, block.timestamp);
        }
    }

    function test_the_evidence_of_both_offences_slashes() public {
        vm.roll(20_999_000);
        vm.warp(START_TIME - 1 days);
        Person memory bob_ = signers["bob"];
        _join(bob_, 1_000 ether);
        vm.roll(21_000_001);
        vm.warp(START_TIME + 1 days);
        uint256 found;
        for (uint256 i = 0; vm.keyExistsJson(direct, _at(i, "name")); ++i) {
            if (!vm.keyExistsJson(direct, _at(i, "message.statementA"))) continue;
            bytes memory encoding = vm.parseJsonBytes(direct, _at(i, "encoding"));
            _report(_evidenceIn(encoding));
            ++found;
        }
        assertEq(found, 2, "both kinds");
        assertEq(_activeOf(bob_), 940.5 ether, "1 percent, then 5");
    }

    /// Its encoding: a word for the message's kind, kind, operator, statementA, signatureA, statementB, signatureB.
    function _evidenceIn(bytes memory encoding) private pure returns (Evidence memory evidence) {
        assertEq(encoding.length, 546, "length");
        evidence.kind = uint8(uint256(_word(encoding, 32)));
        evidence.operator = address(uint160(uint256(_word(encoding, 64))));
        evidence.statementA = _slice(encoding, 96, 160);
        evidence.signatureA = _slice(encoding, 256, 65);
        evidence.statementB = _slice(encoding, 321, 160);
        evidence.signatureB = _slice(encoding, 481, 65);
    }

    function _word(bytes memory data, uint256 offset) private pure returns (bytes32) {
        return abi.decode(_slice(data, offset, 32), (bytes32));
    }

    function _slice(bytes memory data, uint256 offset, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            part[i] = data[offset + i];
        }
    }

    /// What these read is used by `abi.decode` alone elsewhere.
    function test_an_accept_is_read_member_by_member() public view {
        bytes memory words = vm.parseJsonBytes(statements, _at(7, "words"));
        Accept memory accept = this.readAccept(words);
        assertEq(keccak256(abi.encode(accept)), keccak256(words), "members");
    }

    function readAccept(bytes calldata words) external pure returns (Accept memory accept) {
        (accept,) = Statements.readAccept(words);
    }
}
