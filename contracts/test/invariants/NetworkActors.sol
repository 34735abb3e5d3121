// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";

/// @title Four operators, and what all that is done at random in the network counts
abstract contract NetworkActors is NetworkTest {
    /// What a contract rightly refused.
    uint256 public refusals;
    /// P20: how often the brake kept somebody from what never pauses.
    uint256 public blockedByBrake;

    Person[4] public operators;
    bytes32[] public offences;
    uint256 public streamFunded;
    uint256 internal _keys;
    uint256 internal _alerts;

    function setUp() public virtual override {
        super.setUp();
        Person[4] memory all = [alice, bob, carol, dave];
        for (uint256 i = 0; i < 4; ++i) {
            operators[i] = all[i];
            _join(operators[i], (i + 1) * 1_000 ether);
        }
        _pass(1 days);
    }

    function _who(uint256 seed) internal view returns (Person memory) {
        return operators[seed % 4];
    }

    function _totalActive() internal view returns (uint256 total) {
        for (uint256 i = 0; i < 4; ++i) {
            total += _activeOf(operators[i]);
        }
    }
}
