// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INetworkParameters, Parameter} from "./interfaces/INetworkParameters.sol";

/// @title NetworkParameters
contract NetworkParameters is INetworkParameters {
    address private immutable GOVERNANCE;

    mapping(Parameter parameter => uint256) private _values;
    /// @inheritdoc INetworkParameters
    mapping(bytes32 subject => bool) public isRemoved;
    bool private _isAnythingRemoved;

    constructor(address governance, uint256 minStake, uint256 protocolFeeBps, uint256 alertQuorumBps) {
        if (governance == address(0)) revert ZeroAddress();
        GOVERNANCE = governance;
        _set(Parameter.MinStake, minStake);
        _set(Parameter.ProtocolFeeBps, protocolFeeBps);
        _set(Parameter.AlertQuorumBps, alertQuorumBps);
    }

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert NotGovernance();
        _;
    }

    /// @inheritdoc INetworkParameters
    function set(Parameter parameter, uint256 value) external onlyGovernance {
        _set(parameter, value);
    }

    /// @inheritdoc INetworkParameters
    function remove(bytes32 subject) external onlyGovernance {
        if (subject == 0 || isRemoved[subject]) revert NothingToRemove(subject);
        isRemoved[subject] = true;
        _isAnythingRemoved = true;
        emit Removed(subject);
    }

    /// @inheritdoc INetworkParameters
    function valueOf(Parameter parameter) external view returns (uint256) {
        return _values[parameter];
    }

    /// @inheritdoc INetworkParameters
    function isAnyRemoved(bytes32[] calldata subjects) external view returns (bool) {
        if (!_isAnythingRemoved) return false;
        for (uint256 i = 0; i < subjects.length; ++i) {
            if (isRemoved[subjects[i]]) return true;
        }
        return false;
    }

    /// @inheritdoc INetworkParameters
    function boundsOf(Parameter parameter) public pure returns (uint256 minimum, uint256 maximum) {
        if (parameter == Parameter.MinStake) return (1 ether, 1_000_000 ether);
        if (parameter == Parameter.ProtocolFeeBps) return (0, 500);
        return (3_334, 6_667);
    }

    function _set(Parameter parameter, uint256 value) private {
        (uint256 minimum, uint256 maximum) = boundsOf(parameter);
        if (value < minimum || value > maximum) revert OutOfBounds(parameter, value, minimum, maximum);
        _values[parameter] = value;
        emit ParameterSet(parameter, value);
    }
}
