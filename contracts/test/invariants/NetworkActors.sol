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

    /// P5: how often an exit was refused that had no lock and no time to wait for, by the books below.
    uint256 public blockedExits;

    /// P5, by what each operator did itself: what of its stake is locked and through which block, and from when on what
    /// leaves is due (Unix seconds).
    struct Lock {
        uint256 amount;
        uint256 throughBlock;
    }

    mapping(address operator => Lock) private _locks;
    mapping(address operator => uint256) internal _dueAt;
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

    /// A check-in locks what is active through the last block of its epoch.
    function _noteCheckIn(Person memory person, uint256 epoch) internal {
        _locks[person.account] = Lock(_activeOf(person), (epoch + 1) * LENGTH - 1);
    }

    function _keptOf(Person memory person) internal view returns (uint256) {
        Lock memory lock = _locks[person.account];
        return block.number <= lock.throughBlock ? lock.amount : 0;
    }

    function _noteRequest(Person memory person) internal {
        _dueAt[person.account] = block.timestamp + 21 days;
    }

    function _countBlocked() internal {
        if (brake.isPaused()) ++blockedByBrake;
        else ++blockedExits;
    }

    function _totalActive() internal view returns (uint256 total) {
        for (uint256 i = 0; i < 4; ++i) {
            total += _activeOf(operators[i]);
        }
    }
}
