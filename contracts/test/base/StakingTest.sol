// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {HftToken} from "../../src/HftToken.sol";
import {NodeStaking} from "../../src/NodeStaking.sol";
import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {Evidence} from "../../src/interfaces/ISlashingCourt.sol";
import {Words} from "./Words.sol";

/// @notice An operator: its account, and the hot key that signs for it.
struct Person {
    address account;
    address key;
    uint256 secret;
}

/// @title Token, registry and court, and those who use them
abstract contract StakingTest is Test {
    uint8 internal constant DOUBLE_ACCEPT = 1;
    uint8 internal constant CONTRADICTION = 2;
    uint256 internal constant SUPPLY = 50_000_000 ether;
    uint256 internal constant START_BLOCK = 21_000_000;
    uint256 internal constant START_TIME = 1_790_000_000;

    Person internal alice;
    Person internal bob;
    Person internal carol;
    Person internal dave;
    address internal immutable mallory = makeAddr("mallory, the attacker");
    address internal immutable reporter = makeAddr("reporter");
    address internal immutable treasury = makeAddr("treasury");

    HftToken internal token;
    NodeStaking internal staking;
    SlashingCourt internal court;

    function setUp() public virtual {
        _begin();
        _deployCore(makeAddr("timelock"), makeAddr("ledger"));
    }

    function _begin() internal {
        vm.chainId(31337);
        vm.roll(START_BLOCK);
        vm.warp(START_TIME);
        (alice, bob, carol, dave) = (_person("alice"), _person("bob"), _person("carol"), _person("dave"));
    }

    function _deployCore(address governance, address ledger) internal {
        token = new HftToken(governance, treasury, SUPPLY);
        address courtToBe = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        staking = new NodeStaking(address(token), courtToBe, ledger);
        court = new SlashingCourt(staking, governance);
        vm.label(address(token), "HFT");
        vm.label(address(staking), "staking");
        vm.label(address(court), "court");
    }

    function _person(string memory name) internal returns (Person memory person) {
        person.account = makeAddr(name);
        (person.key, person.secret) = makeAddrAndKey(string.concat(name, "'s hot key"));
    }

    /// Time goes by, a block every twelve seconds.
    function _pass(uint256 time) internal {
        skip(time);
        vm.roll(block.number + time / 12 + 1);
    }

    // Operators

    function _join(Person memory person, uint256 amount) internal {
        _register(person);
        _stake(person, amount);
    }

    function _register(Person memory person) internal {
        bytes memory binding = _binding(person.account, person.secret);
        vm.prank(person.account);
        staking.register(person.key, keccak256(abi.encode("peer", person.account)), binding);
    }

    function _stake(Person memory person, uint256 amount) internal {
        vm.prank(treasury);
        assertTrue(token.transfer(person.account, amount), "transfer");
        vm.startPrank(person.account);
        token.approve(address(staking), amount);
        staking.stake(amount);
        vm.stopPrank();
    }

    function _rotate(Person memory person, string memory name) internal returns (Person memory rotated) {
        rotated.account = person.account;
        (rotated.key, rotated.secret) = makeAddrAndKey(name);
        bytes memory binding = _binding(person.account, rotated.secret);
        vm.prank(person.account);
        staking.setHotKey(rotated.key, binding);
    }

    function _activeOf(Person memory person) internal view returns (uint256) {
        return staking.operatorAt(person.account).active;
    }

    function _leavingOf(Person memory person) internal view returns (uint256) {
        return staking.operatorAt(person.account).leaving;
    }

    // What they sign

    function _binding(address operator, uint256 secret) internal view returns (bytes memory) {
        return _sign(secret, Words.hashBinding(operator));
    }

    function _sign(uint256 secret, bytes32 structHash) internal view returns (bytes memory) {
        return _signUnder(Words.separator(block.chainid, address(staking)), secret, structHash);
    }

    function _signUnder(bytes32 domain, uint256 secret, bytes32 structHash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, Words.digest(domain, structHash));
        return abi.encodePacked(r, s, v);
    }

    /// Two accepts of different orders for slot number `slot`, signed now.
    function _doubleAccept(Person memory person, uint256 slot) internal view returns (Evidence memory) {
        return _acceptsAt(person, slot, block.number, block.timestamp);
    }

    function _acceptsAt(Person memory person, uint256 slot, uint256 blockNumber, uint256 timestamp)
        internal
        view
        returns (Evidence memory)
    {
        bytes32 primaryKey = keccak256(abi.encode("leg", slot));
        bytes memory a = Words.accept(bytes32(uint256(1)), primaryKey, 1 + slot, blockNumber, timestamp);
        bytes memory b = Words.accept(bytes32(uint256(2)), primaryKey, 1 + slot, blockNumber, timestamp);
        return Evidence(
            DOUBLE_ACCEPT,
            person.account,
            a,
            _sign(person.secret, Words.hashAccept(a)),
            b,
            _sign(person.secret, Words.hashAccept(b))
        );
    }

    /// Both verdicts on alert number `slot` at one block, signed now.
    function _contradiction(Person memory person, uint256 slot) internal view returns (Evidence memory) {
        bytes32 alertId = keccak256(abi.encode("alert", slot));
        bytes memory a = Words.attestation(alertId, keccak256("block"), 1, block.number, block.timestamp);
        bytes memory b = Words.attestation(alertId, keccak256("block"), 2, block.number, block.timestamp);
        return Evidence(
            CONTRADICTION,
            person.account,
            a,
            _sign(person.secret, Words.hashAttestation(a)),
            b,
            _sign(person.secret, Words.hashAttestation(b))
        );
    }

    function _report(Evidence memory evidence) internal returns (bytes32 offenceId) {
        vm.prank(reporter);
        return court.report(evidence);
    }
}
