// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 at);
    function swap(uint256 amount0, uint256 amount1, address to, bytes calldata data) external;
}

/// @title An aggregator of nobody's: it swaps through pairs whose names its call data hides from every decoder
contract Aggregator {
    /// A word a hop: the pair's address in the last 20 bytes, inverted; the first byte's lowest bit is which token goes in
    fallback() external {
        uint256 amount = uint256(bytes32(msg.data[4:36]));
        for (uint256 place = 36; place + 32 <= msg.data.length; place += 32) {
            uint256 word = uint256(bytes32(msg.data[place:place + 32]));
            _swap(IPair(address(~uint160(word))), word >> 248 & 1 == 0, amount);
        }
    }

    function _swap(IPair pair, bool zeroForOne, uint256 amount) private {
        (uint256 reserve0, uint256 reserve1,) = pair.getReserves();
        if (!zeroForOne) (reserve0, reserve1) = (reserve1, reserve0);
        IToken(zeroForOne ? pair.token0() : pair.token1()).transferFrom(msg.sender, address(pair), amount);
        uint256 taken = amount * 997;
        uint256 given = taken * reserve1 / (reserve0 * 1000 + taken);
        pair.swap(zeroForOne ? 0 : given, zeroForOne ? given : 0, msg.sender, "");
    }
}
