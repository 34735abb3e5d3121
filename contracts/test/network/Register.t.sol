// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NodeStaking} from "../../src/NodeStaking.sol";
import {HotKey, INodeStaking, Operator} from "../../src/interfaces/INodeStaking.sol";
import {Person, StakingTest} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";

/// Becoming an operator; its hot keys, present and past; its peer.
contract RegisterTest is StakingTest {
    bytes32 private constant PEER = keccak256("peer");

    function _registerRaw(address account, address key, bytes memory binding) private {
        vm.prank(account);
        staking.register(key, PEER, binding);
    }

    function test_an_operator_has_key_and_peer_and_votes_for_itself() public {
        vm.expectEmit(address(staking));
        emit INodeStaking.Registered(alice.account);
        vm.expectEmit(address(staking));
        emit INodeStaking.HotKeySet(alice.account, alice.key, address(0));
        _register(alice);
        Operator memory operator = staking.operatorAt(alice.account);
        assertEq(operator.hotKey, alice.key, "hot key");
        assertEq(operator.peerIdHash, keccak256(abi.encode("peer", alice.account)), "peer");
        assertEq(operator.active + operator.leaving + operator.locked, 0, "stake");
        HotKey memory key = staking.hotKeyAt(alice.key);
        assertEq(key.operator, alice.account, "whose");
        assertEq(key.fromBlock, block.number, "from block");
        assertEq(key.fromTime, block.timestamp, "from time");
        assertEq(key.untilBlock + key.untilTime, 0, "in force");
        assertEq(staking.delegates(alice.account), alice.account, "delegate");
    }

    function test_an_account_can_be_its_own_hot_key() public {
        _registerRaw(alice.key, alice.key, _binding(alice.key, alice.secret));
        assertEq(staking.operatorOf(alice.key), alice.key, "operator");
    }

    function test_an_account_registers_once() public {
        _register(alice);
        bytes memory binding = _binding(alice.account, bob.secret);
        vm.expectRevert(INodeStaking.AlreadyRegistered.selector);
        _registerRaw(alice.account, bob.key, binding);
    }

    function test_a_peer_id_of_zero_is_refused() public {
        bytes memory binding = _binding(alice.account, alice.secret);
        vm.startPrank(alice.account);
        vm.expectRevert(INodeStaking.ZeroPeerId.selector);
        staking.register(alice.key, 0, binding);
        staking.register(alice.key, PEER, binding);
        vm.expectRevert(INodeStaking.ZeroPeerId.selector);
        staking.setPeerId(0);
        staking.setPeerId(keccak256("another"));
        assertEq(staking.operatorAt(alice.account).peerIdHash, keccak256("another"), "peer");
    }

    // Nobody takes another's key

    function test_a_key_that_did_not_sign_is_not_bound() public {
        bytes memory foreign = _binding(mallory, alice.secret);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotBound.selector, alice.key));
        _registerRaw(bob.account, alice.key, foreign);
        bytes memory byAnother = _binding(bob.account, bob.secret);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotBound.selector, alice.key));
        _registerRaw(bob.account, alice.key, byAnother);
    }

    function test_the_zero_key_is_never_bound() public {
        vm.expectRevert(INodeStaking.BadSignature.selector);
        _registerRaw(bob.account, address(0), new bytes(65));
    }

    function test_a_binding_does_not_count_on_another_chain_or_registry() public {
        bytes memory elsewhere =
            _signUnder(Words.separator(1, address(staking)), alice.secret, Words.hashBinding(alice.account));
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotBound.selector, alice.key));
        _registerRaw(alice.account, alice.key, elsewhere);
        elsewhere =
            _signUnder(Words.separator(block.chainid, address(court)), alice.secret, Words.hashBinding(alice.account));
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotBound.selector, alice.key));
        _registerRaw(alice.account, alice.key, elsewhere);
    }

    function test_a_binding_is_strictly_signed() public {
        bytes memory binding = _binding(alice.account, alice.secret);
        vm.expectRevert(INodeStaking.BadSignature.selector);
        _registerRaw(alice.account, alice.key, Words.twin(binding));
        vm.expectRevert(INodeStaking.BadSignature.selector);
        _registerRaw(alice.account, alice.key, bytes.concat(binding, hex"00"));
    }

    function test_a_key_serves_one_operator_once() public {
        _register(alice);
        bytes memory binding = _binding(bob.account, alice.secret);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyInUse.selector, alice.key));
        _registerRaw(bob.account, alice.key, binding);
        _rotate(alice, "alice's second key");
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyInUse.selector, alice.key));
        _registerRaw(bob.account, alice.key, binding);
        binding = _binding(alice.account, alice.secret);
        vm.prank(alice.account);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyInUse.selector, alice.key));
        staking.setHotKey(alice.key, binding);
    }

    function test_accounts_and_foreign_keys_do_not_mix() public {
        _registerRaw(alice.key, alice.key, _binding(alice.key, alice.secret));
        _registerRaw(bob.account, bob.key, _binding(bob.account, bob.secret));
        bytes memory binding = _binding(bob.key, carol.secret);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyInUse.selector, bob.key)); // a key is no account
        _registerRaw(bob.key, carol.key, binding);
        _rotateAlice();
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyInUse.selector, alice.key)); // an account is no key
        vm.prank(bob.account);
        staking.setHotKey(alice.key, binding);
    }

    function _rotateAlice() private {
        (address key, uint256 secret) = makeAddrAndKey("another of alice's");
        bytes memory binding = _binding(alice.key, secret);
        vm.prank(alice.key);
        staking.setHotKey(key, binding);
    }

    // Keys in force

    function test_a_new_key_is_in_force_from_its_block_on_and_the_old_one_until_then(uint256 time) public {
        _register(alice);
        (uint256 fromBlock, uint256 fromTime) = (block.number, block.timestamp);
        _pass(bound(time, 12, 365 days));
        Person memory rotated = _rotate(alice, "alice's second key");
        (uint256 atBlock, uint256 atTime) = (block.number, block.timestamp);
        bytes32 hash = keccak256("something");
        bytes memory byOld = _sign(alice.secret, hash);
        bytes memory byNew = _sign(rotated.secret, hash);
        staking.requireSigned(alice.account, hash, byOld, fromBlock, fromTime);
        staking.requireSigned(alice.account, hash, byOld, atBlock - 1, atTime - 1);
        staking.requireSigned(alice.account, hash, byNew, atBlock, atTime);
        _expectNotInForce(alice.account, alice.key);
        staking.requireSigned(alice.account, hash, byOld, atBlock, atTime - 1);
        _expectNotInForce(alice.account, alice.key);
        staking.requireSigned(alice.account, hash, byOld, atBlock - 1, atTime);
        _expectNotInForce(alice.account, alice.key);
        staking.requireSigned(alice.account, hash, byOld, fromBlock - 1, fromTime);
        _expectNotInForce(alice.account, alice.key);
        staking.requireSigned(alice.account, hash, byOld, fromBlock, fromTime - 1);
        _expectNotInForce(alice.account, rotated.key);
        staking.requireSigned(alice.account, hash, byNew, atBlock - 1, atTime);
        _expectNotInForce(bob.account, rotated.key);
        staking.requireSigned(bob.account, hash, byNew, atBlock, atTime);
    }

    function _expectNotInForce(address operator, address key) private {
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, operator, key));
    }

    function test_the_digest_is_that_of_the_domain(bytes32 hash) public {
        _register(alice);
        bytes32 domain = Words.separator(block.chainid, address(staking));
        assertEq(staking.domainSeparator(), domain, "domain");
        bytes32 digest =
            staking.requireSigned(alice.account, hash, _sign(alice.secret, hash), block.number, block.timestamp);
        assertEq(digest, Words.digest(domain, hash), "digest");
        vm.chainId(1);
        assertEq(staking.domainSeparator(), Words.separator(1, address(staking)), "after a fork of the chain");
    }

    function test_an_operator_is_known_by_account_and_by_the_key_in_force() public {
        _register(alice);
        assertEq(staking.operatorOf(alice.account), alice.account, "by account");
        assertEq(staking.operatorOf(alice.key), alice.account, "by key");
        Person memory rotated = _rotate(alice, "alice's second key");
        assertEq(staking.operatorOf(rotated.key), alice.account, "by the new key");
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, alice.key));
        staking.operatorOf(alice.key);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        staking.operatorOf(mallory);
    }

    function test_who_is_not_registered_changes_nothing() public {
        vm.startPrank(mallory);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        staking.setHotKey(alice.key, "");
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        staking.setPeerId(PEER);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        staking.stake(1);
    }

    function test_a_registry_without_token_court_or_ledger_is_refused() public {
        vm.expectRevert(INodeStaking.ZeroAddress.selector);
        new NodeStaking(address(0), address(1), address(1));
        vm.expectRevert(INodeStaking.ZeroAddress.selector);
        new NodeStaking(address(1), address(0), address(1));
        vm.expectRevert(INodeStaking.ZeroAddress.selector);
        new NodeStaking(address(1), address(1), address(0));
    }
}
