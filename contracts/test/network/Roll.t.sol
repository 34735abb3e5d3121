// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Epoch, IExecutionLedger} from "../../src/interfaces/IExecutionLedger.sol";
import {Headers} from "../base/Headers.sol";
import {NetworkTest} from "../base/NetworkTest.sol";

/// The seed of an epoch: out of a header, which nobody chooses.
contract RollTest is NetworkTest {
    uint256 private constant NEXT = EPOCH + 1;
    uint256 private constant SEED_BLOCK = NEXT * LENGTH - LAG;

    function setUp() public override {
        super.setUp();
        _join(alice, 200 ether);
        _checkIn(alice, NEXT);
    }

    function test_the_seed_is_the_headers_mix_hash(bytes32 mixHash, uint256 later) public {
        vm.roll(SEED_BLOCK + bound(later, 1, 256));
        bytes memory header = _seal(SEED_BLOCK, mixHash);
        vm.expectEmit(address(ledger));
        emit IExecutionLedger.Rolled(NEXT, mixHash, 200 ether, 1);
        vm.prank(mallory); // anybody
        ledger.roll(NEXT, header);
        Epoch memory epoch = ledger.epochAt(NEXT);
        assertEq(epoch.seed, mixHash, "seed");
        assertTrue(epoch.rolled, "rolled");
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.AlreadyRolled.selector, NEXT));
        ledger.roll(NEXT, header);
    }

    function test_the_seed_block_comes_after_check_in_has_ended() public view {
        assertEq(ledger.seedBlockOf(NEXT), SEED_BLOCK, "seed block");
        assertGe(SEED_BLOCK, NEXT * LENGTH - CUT_OFF, "check-in has ended");
        assertLt(SEED_BLOCK, NEXT * LENGTH, "and the epoch has not begun");
    }

    function test_another_blocks_header_is_refused(bytes32 mixHash) public {
        vm.assume(mixHash != keccak256("true"));
        vm.roll(NEXT * LENGTH);
        bytes memory wanted = _seal(SEED_BLOCK, keccak256("true"));
        bytes memory other = _seal(SEED_BLOCK + 1, mixHash);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.WrongHeader.selector, keccak256(wanted)));
        ledger.roll(NEXT, other);
        bytes memory forged = Headers.header(SEED_BLOCK, block.timestamp, mixHash);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.WrongHeader.selector, keccak256(wanted)));
        ledger.roll(NEXT, forged);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.WrongHeader.selector, keccak256(wanted)));
        ledger.roll(NEXT, "");
    }

    function test_nobody_rolls_before_the_seed_block_is_past() public {
        bytes memory header = Headers.header(SEED_BLOCK, block.timestamp, keccak256("mix"));
        vm.roll(SEED_BLOCK);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.SeedBlockOutOfReach.selector, SEED_BLOCK));
        ledger.roll(NEXT, header);
    }

    function test_beyond_256_blocks_the_chains_own_history_is_asked() public {
        vm.roll(SEED_BLOCK + 1);
        bytes memory header = _seal(SEED_BLOCK, keccak256("mix"));
        vm.roll(SEED_BLOCK + 5_000);
        vm.etch(Blockhash.HISTORY_STORAGE_ADDRESS, hex"00");
        bytes memory question = abi.encode(SEED_BLOCK);
        vm.mockCall(Blockhash.HISTORY_STORAGE_ADDRESS, question, abi.encode(keccak256(header))); // EIP-2935
        ledger.roll(NEXT, header);
        assertTrue(ledger.epochAt(NEXT).rolled, "rolled");
    }

    function test_beyond_the_history_an_epoch_stays_without_a_seed() public {
        vm.roll(SEED_BLOCK + 10_000);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.SeedBlockOutOfReach.selector, SEED_BLOCK));
        ledger.roll(NEXT, "");
    }

    function test_an_epoch_without_check_ins_has_nobody_to_draw() public {
        vm.roll((NEXT + 1) * LENGTH);
        bytes memory header = _seal((NEXT + 1) * LENGTH - LAG, keccak256("mix"));
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.NobodyCheckedIn.selector, NEXT + 1));
        ledger.roll(NEXT + 1, header);
    }
}
