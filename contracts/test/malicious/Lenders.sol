// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";

/// @title A lender of ERC-3156 that answers no
contract RefusingLender {
    function flashLoan(IERC3156FlashBorrower, address, uint256, bytes calldata) external pure returns (bool) {
        return false;
    }
}

/// @title A lender of ERC-3156 that says yes and never calls back
contract SilentPurse {
    function flashLoan(IERC3156FlashBorrower, address, uint256, bytes calldata) external pure returns (bool) {
        return true;
    }
}

/// @title A lender of ERC-3156 that calls back for somebody else's loan
contract ForeignPurse {
    function flashLoan(IERC3156FlashBorrower to, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        to.onFlashLoan(address(this), token, amount, 0, data);
        return true;
    }
}

/// @title A lender of ERC-3156 that calls back with more data than it was given, or twice
contract LyingPurse {
    bool private immutable TWICE;

    constructor(bool twice) {
        TWICE = twice;
    }

    function flashLoan(IERC3156FlashBorrower to, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        bytes memory told = TWICE ? data : bytes.concat(data, hex"00");
        to.onFlashLoan(msg.sender, token, amount, 0, told);
        to.onFlashLoan(msg.sender, token, amount, 0, told);
        return true;
    }
}

/// @title A Morpho that calls back twice, or never
contract LyingMorpho {
    uint256 private immutable TIMES;

    constructor(uint256 times) {
        TIMES = times;
    }

    function flashLoan(address, uint256 assets, bytes calldata data) external {
        for (uint256 i = 0; i < TIMES; ++i) {
            (bool done, bytes memory why) =
                msg.sender.call(abi.encodeWithSignature("onMorphoFlashLoan(uint256,bytes)", assets, data));
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(why, 32), mload(why))
                }
            }
        }
    }
}

/// @title A manager of Uniswap V4's kind that never calls back, and says what a swap gave
contract SilentManager {
    function unlock(bytes calldata) external pure returns (bytes memory) {
        return abi.encode(uint256(1_000_000 ether));
    }
}
