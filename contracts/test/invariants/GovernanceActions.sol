// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameter} from "../../src/interfaces/INetworkParameters.sol";
import {NetworkActors} from "./NetworkActors.sol";

/// @title What governance decides, and what others try to decide in its place
abstract contract GovernanceActions is NetworkActors {
    uint256 private constant THEFTS = 10;

    uint256 public decisions;
    /// P13: how often somebody else than the governor did what is the governor's.
    uint256 public usurpations;

    /// The decision that waits in the Timelock, if one was left there.
    bytes32 public queued;
    bytes private _queuedCall;
    bytes32 private _queuedText;

    /// From proposal to execution; a value outside its bounds is refused at the end.
    function govern(uint256 which, uint256 value) external {
        Parameter parameter = Parameter(which % 3);
        value = bound(value, 0, 1_000);
        if (parameter == Parameter.MinStake) value *= 1 ether;
        if (parameter == Parameter.AlertQuorumBps) value *= 10;
        if (_totalActive() == 0) return;
        bytes memory call = abi.encodeCall(parameters.set, (parameter, value));
        try this.governByAll(address(parameters), call, string.concat("proposal ", vm.toString(++_keys))) {
            ++decisions;
        } catch {
            ++refusals;
        }
    }

    function governByAll(address target, bytes calldata data, string calldata text) external {
        _govern(target, data, text);
    }

    /// As `govern`, up to the Timelock's delay: whoever may not cancel it may try.
    function leaveQueued(uint256 value) external {
        if (_totalActive() == 0) return;
        bytes memory call = abi.encodeCall(parameters.set, (Parameter.MinStake, bound(value, 1, 1_000) * 1 ether));
        string memory text = string.concat("proposal ", vm.toString(++_keys));
        try this.queueByAll(address(parameters), call, text) {
            (_queuedCall, _queuedText) = (call, keccak256(bytes(text)));
            queued = _operation(call, _queuedText);
        } catch {
            ++refusals;
        }
    }

    function queueByAll(address target, bytes calldata data, string calldata text) external {
        _decide(target, data, text);
    }

    function _operation(bytes memory call, bytes32 text) private view returns (bytes32) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(address(parameters), call);
        return timelock.hashOperationBatch(targets, values, calls, 0, bytes20(address(governor)) ^ text);
    }

    /// What is the governor's and the Timelock's alone.
    function usurp(uint256 who, uint256 how) external {
        (address target, bytes memory theft) = _theft(who, how % THEFTS);
        address[4] memory others = [mallory, guardian, _who(who / 4).account, _who(who / 4).key];
        vm.prank(others[who % 4]);
        (bool done,) = target.call(theft);
        if (done) ++usurpations;
        else ++refusals;
    }

    function _theft(uint256 who, uint256 how) private view returns (address, bytes memory) {
        if (how == 0) {
            bytes memory call = abi.encodeCall(token.mint, (mallory, 1));
            return (
                address(timelock),
                abi.encodeCall(timelock.schedule, (address(token), 0, call, 0, bytes32(_keys), TIMELOCK_DELAY))
            );
        }
        if (how == 1) {
            return (address(timelock), abi.encodeCall(timelock.grantRole, (timelock.PROPOSER_ROLE(), mallory)));
        }
        if (how == 2) return (address(timelock), abi.encodeCall(timelock.cancel, (queued)));
        if (how == 3) return (address(governor), _cancelling());
        if (how == 4) return (address(parameters), abi.encodeCall(parameters.set, (Parameter.MinStake, 1 ether)));
        if (how == 5) return (address(ledger), abi.encodeCall(ledger.setExecutor, (mallory, true)));
        if (how == 6) return (address(token), abi.encodeCall(token.mint, (mallory, 1)));
        if (how == 7) {
            bytes32 offence = offences.length == 0 ? bytes32(0) : offences[who % offences.length];
            return (address(court), abi.encodeCall(court.cancel, (offence)));
        }
        if (how == 8) return (address(staking), abi.encodeCall(staking.slash, (_who(who).account, 1)));
        return (address(brake), abi.encodeCall(brake.release, ()));
    }

    function _cancelling() private view returns (bytes memory) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) =
            _calls(address(parameters), _queuedCall);
        return abi.encodeCall(governor.cancel, (targets, values, calls, _queuedText));
    }

    // What the invariants look at

    function assertGoverned() external view {
        assertEq(usurpations, 0, "P13: somebody else governed");
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 minimum, uint256 maximum) = parameters.boundsOf(Parameter(i));
            uint256 value = parameters.valueOf(Parameter(i));
            assertTrue(minimum <= value && value <= maximum, "P13: a parameter out of bounds");
        }
        bytes32[3] memory roles = [timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE(), timelock.DEFAULT_ADMIN_ROLE()];
        for (uint256 i = 0; i < 3; ++i) {
            assertFalse(timelock.hasRole(roles[i], address(this)), "P13: the deployer has a role");
            assertFalse(timelock.hasRole(roles[i], mallory), "P13: a thief has a role");
        }
    }
}
