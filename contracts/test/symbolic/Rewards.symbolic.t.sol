// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {INetworkParameters} from "../../src/interfaces/INetworkParameters.sol";
import {Attestation} from "../../src/libraries/Statements.sol";
import {WorkRewards} from "../../src/WorkRewards.sol";
import {Math} from "./Math.sol";
import {SymbolicTest} from "./SymbolicTest.sol";

/// @title A registry in which every signature is good, and operators have the stake that a check gives them
contract StakeOf {
    mapping(address operator => uint256) public stakeOf;

    function set(address operator, uint256 stake) external {
        stakeOf[operator] = stake;
    }

    function requireSigned(address, bytes32, bytes calldata, uint256, uint256) external pure returns (bytes32) {
        return 0;
    }

    function getPastVotes(address operator, uint256) external view returns (uint256) {
        return stakeOf[operator];
    }

    /// No stake in all, so no quorum is needed.
    function getPastTotalSupply(uint256) external pure returns (uint256) {
        return 0;
    }

    function valueOf(uint8) external pure returns (uint256) {
        return 0;
    }
}

/// @title A token of which everybody has enough
contract Purse {
    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }
}

/// P12 for all inputs within the bounds that the check names.
contract RewardsSymbolic is SymbolicTest {
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);
    uint256 private constant WEEK = 7 days;
    uint256 private constant OTHERS = 1 << 100;

    StakeOf private registry;
    WorkRewards private rewards;

    function setUp() public {
        registry = new StakeOf();
        rewards =
            new WorkRewards(IERC20(address(new Purse())), address(registry), INetworkParameters(address(registry)));
        vm.warp(3000 * WEEK);
        vm.roll(1000);
    }

    /// P12: whatever the pot and the stakes, two operators take at most the pot, though one claims twice. What a third
    /// party put in for the next week is there to be taken. That two shares of a pot are no more than the pot is
    /// assumed: a fuzz test has it (SymbolicMath.t.sol).
    function check_P12_claims_never_exceed_the_pot(uint96 pot, uint96 alices, uint96 bobs) public {
        uint256 total = uint256(bobs) + alices; // as they are credited, so that the solver sees one sum and not two
        vm.assume(alices != 0 && bobs != 0);
        vm.assume(Math.mulDiv(pot, alices, total) + Math.mulDiv(pot, bobs, total) <= pot);
        rewards.fund(pot);
        registry.set(ALICE, alices);
        registry.set(BOB, bobs);
        _settle();
        vm.warp(block.timestamp + WEEK);
        rewards.fund(OTHERS);
        assert(_claim(ALICE) + _claim(BOB) + _claim(ALICE) <= pot);
    }

    function _claim(address who) private returns (uint256) {
        try rewards.claim(3000, who) returns (uint256 amount) {
            return amount;
        } catch {
            return 0;
        }
    }

    function _settle() private {
        bytes32 blockHash = blockhash(block.number - 1);
        vm.assume(blockHash != 0);
        Attestation memory attestation =
            Attestation(bytes32(uint256(1)), blockHash, 1, uint64(block.number - 1), uint64(block.timestamp));
        address[] memory operators = new address[](2);
        (operators[0], operators[1]) = BOB < ALICE ? (BOB, ALICE) : (ALICE, BOB);
        rewards.settle(attestation, operators, new bytes[](2));
    }
}
