// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What one day gave to those who had active stake at its beginning.
/// @param snapshot The second by whose stake it is shared.
/// @param amount To be shared, smallest units.
/// @param stake All active stake then.
struct Pot {
    uint48 snapshot;
    uint208 amount;
    uint256 stake;
}

/// @title Gives protocol fees to active stake, over time
/// @notice Whatever of the token arrives here is funding: fees of network executions come by a plain transfer. Once a
/// day anybody rolls: a seventh of what is not yet promised becomes a pot, shared by the stake of the last second of the
/// day before. Stake needs 21 days to leave, so that nobody stakes for a snapshot alone. On days on which nobody is
/// staked no pot is made, and all stays for later ones.
///
/// P11  What is paid and promised never exceeds what was funded, nothing is paid twice, and nothing is lost while nobody
///      is staked.
interface IRewardStream {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice This day has been rolled.
    error AlreadyRolled();

    /// @notice A pot was made. With nobody staked, or nothing to give, the day ends without one and without an event.
    event Rolled(uint256 indexed pot, uint256 amount, uint256 stake);
    /// @notice An operator got its share of the pots before `next`.
    event Claimed(address indexed operator, uint256 amount, uint256 next);

    /// @notice Make the day's pot. Anybody may.
    function roll() external;

    /// @notice Pay an operator its share of the next pots it has not been paid for, at most `pots` of them. Anybody may.
    function claim(address operator, uint256 pots) external returns (uint256 amount);

    /// @notice What is here and not promised yet.
    function pool() external view returns (uint256);

    /// @notice What is promised and not paid yet.
    function promised() external view returns (uint256);

    /// @notice How many pots there have been.
    function potCount() external view returns (uint256);

    /// @notice A pot, counted from 0.
    function potAt(uint256 index) external view returns (Pot memory);

    /// @notice The first pot an operator has not been paid for.
    function nextPot(address operator) external view returns (uint256);

    /// @notice The token that is given.
    function TOKEN() external view returns (address);
}
