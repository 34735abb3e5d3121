// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token of Mallory's whose transfers, once armed, answer with 200,000 bytes, refuse with as many, or burn all gas
contract BombToken is ERC20 {
    enum Kind {
        None,
        Answer,
        Refuse,
        Burn
    }

    Kind private kind;

    constructor() ERC20("Bomb", "BOMB") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(Kind kind_) external {
        kind = kind_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        _transfer(msg.sender, to, amount);
        _explode();
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        super.transferFrom(from, to, amount);
        _explode();
        return true;
    }

    function _explode() private view {
        if (kind == Kind.Answer) {
            assembly {
                mstore(0, 1)
                return(0, 200000)
            }
        }
        if (kind == Kind.Refuse) {
            assembly {
                revert(0, 200000)
            }
        }
        while (kind == Kind.Burn) {}
    }
}
