// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

interface IFeed {
    function decimals() external view returns (uint8);
    function latestAnswer() external view returns (int256);
}

/// @title An oracle for a market of Morpho Blue, from two Chainlink feeds in the same currency: ours
/// @notice What one unit of collateral is worth in units of the loan token, times 10^36, as Morpho asks for it
contract FeedPriceOracle {
    IFeed public immutable collateralFeed;
    IFeed public immutable loanFeed;
    uint256 private immutable _scale;

    error NoAnswer(IFeed feed);

    constructor(IERC20Metadata collateral, IFeed collateralFeed_, IERC20Metadata loan, IFeed loanFeed_) {
        collateralFeed = collateralFeed_;
        loanFeed = loanFeed_;
        uint256 up = 36 + loan.decimals() + loanFeed_.decimals();
        _scale = 10 ** (up - collateral.decimals() - collateralFeed_.decimals());
    }

    function price() external view returns (uint256) {
        return _answer(collateralFeed) * _scale / _answer(loanFeed);
    }

    function _answer(IFeed feed) private view returns (uint256) {
        int256 answer = feed.latestAnswer();
        if (answer <= 0) revert NoAnswer(feed);
        return uint256(answer);
    }
}
