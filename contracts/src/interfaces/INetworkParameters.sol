// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What governance sets, each within bounds that nobody changes.
enum Parameter {
    /// The least stake of an operator that checks in, smallest units: 1 to 1,000,000 tokens.
    MinStake,
    /// The protocol's share of the net profit of network executions, basis points: 0 to 500.
    ProtocolFeeBps,
    /// The share of active stake whose equal attestations settle an alert, basis points: 3,334 to 6,667.
    AlertQuorumBps
}

/// @title What governance may set, and what it has taken out of use
/// @notice The Timelock sets parameters within hard bounds, and removes tokens, pools, venues and executors. Governance adds
/// nothing to anybody's list, and a removal is for ever. The ledger opens no order whose route uses what is removed; out
/// of a vault anybody may take a removed token or executor, and its owners cannot pin it again.
///
/// P13  Parameters stay within their bounds.
interface INetworkParameters {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice The caller is not the Timelock.
    error NotGovernance();
    /// @notice P13: the value is outside the parameter's bounds.
    error OutOfBounds(Parameter parameter, uint256 value, uint256 minimum, uint256 maximum);
    /// @notice A subject of zero, or one that is removed already.
    error NothingToRemove(bytes32 subject);

    /// @notice A parameter was set.
    event ParameterSet(Parameter indexed parameter, uint256 value);
    /// @notice A subject must not be used any more.
    event Removed(bytes32 indexed subject);

    /// @notice Set a parameter. Only governance.
    function set(Parameter parameter, uint256 value) external;

    /// @notice Take a subject out of use: an address padded on the left, or the 32-byte id of a pool. Only governance.
    function remove(bytes32 subject) external;

    /// @notice A parameter as it is set.
    function valueOf(Parameter parameter) external view returns (uint256);

    /// @notice Whether a subject was taken out of use.
    function isRemoved(bytes32 subject) external view returns (bool);

    /// @notice Whether at least one of these subjects was. One read while nothing at all is removed.
    function isAnyRemoved(bytes32[] calldata subjects) external view returns (bool);

    /// @notice A parameter's bounds, both included.
    function boundsOf(Parameter parameter) external pure returns (uint256 minimum, uint256 maximum);
}
