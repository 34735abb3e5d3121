// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRewardStream, Pot} from "./interfaces/IRewardStream.sol";

/// @title RewardStream
contract RewardStream is IRewardStream {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint256 private constant DAY = 1 days;
    uint256 private constant SHARES = 7;

    /// @inheritdoc IRewardStream
    address public immutable TOKEN;
    IVotes private immutable STAKING;

    /// @inheritdoc IRewardStream
    uint256 public promised;
    uint256 private _rolledDay;
    Pot[] private _pots;
    /// @inheritdoc IRewardStream
    mapping(address operator => uint256) public nextPot;

    constructor(address token, IVotes staking) {
        if (token == address(0) || address(staking) == address(0)) revert ZeroAddress();
        (TOKEN, STAKING) = (token, staking);
    }

    /// @inheritdoc IRewardStream
    function roll() external {
        uint256 day = block.timestamp / DAY;
        if (day == _rolledDay) revert AlreadyRolled();
        _rolledDay = day;
        uint48 snapshot = (day * DAY - 1).toUint48();
        uint256 stake = STAKING.getPastTotalSupply(snapshot);
        uint256 amount = pool() / SHARES;
        if (stake == 0 || amount == 0) return;
        promised += amount;
        emit Rolled(_pots.length, amount, stake);
        _pots.push(Pot(snapshot, amount.toUint208(), stake));
    }

    /// @inheritdoc IRewardStream
    function claim(address operator, uint256 pots) external returns (uint256 amount) {
        uint256 first = nextPot[operator];
        uint256 end = Math.min(_pots.length, first + Math.min(pots, _pots.length));
        nextPot[operator] = end;
        for (uint256 i = first; i < end; ++i) {
            Pot memory pot = _pots[i];
            amount += Math.mulDiv(pot.amount, STAKING.getPastVotes(operator, pot.snapshot), pot.stake);
        }
        promised -= amount;
        emit Claimed(operator, amount, end);
        IERC20(TOKEN).safeTransfer(operator, amount);
    }

    /// @inheritdoc IRewardStream
    function pool() public view returns (uint256) {
        return IERC20(TOKEN).balanceOf(address(this)) - promised;
    }

    /// @inheritdoc IRewardStream
    function potCount() external view returns (uint256) {
        return _pots.length;
    }

    /// @inheritdoc IRewardStream
    function potAt(uint256 index) external view returns (Pot memory) {
        return _pots[index];
    }
}
