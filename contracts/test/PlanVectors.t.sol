// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {Header, Plans} from "./base/Plans.sol";

/// The vectors of packed plans, which Python's tests replay too (tests/contracts/test_plan_vectors.py): what these tests
/// hand to the executor is what Python packs.
contract PlanVectorsTest is Test {
    string private vectors;

    function setUp() public {
        vectors = vm.readFile("test/vectors/plans.json");
    }

    function _address(uint8 digit) private pure returns (address) {
        return address(uint160(_repeated(digit) >> 96));
    }

    function _repeated(uint8 digit) private pure returns (uint256) {
        return uint256(digit) * (type(uint256).max / 255);
    }

    function _check(string memory name, Header memory header, bytes memory rest) private view {
        (header.lastBlock, header.minimumProfit, header.bid) = (1_000_000, 7, 9);
        bytes memory expected = vm.parseJsonBytes(vectors, string.concat(".", name));
        assertEq(Plans.pack(header, rest), expected, name);
    }

    function test_every_kind_of_hop() public view {
        Header memory own = Header(Plans.NOBODY, 0, 0, 0, 0);
        _check("uniswap_v2", own, Plans.uniswapV2(_address(0xa1), 5));
        _check("sushi", own, Plans.sushi(_address(0xa1)));
        _check("uniswap_v3", own, Plans.uniswapV3(_address(0xa1), 3000, 5));
        _check("balancer", own, Plans.balancer(_address(0xa1), bytes32(_repeated(0xb1)), 5));
        _check("uniswap_v4", own, Plans.uniswapV4(_address(0xa1), 500, 10));
        _check("uniswap_v4_in_ether", own, Plans.uniswapV4InEther(_address(0xa1), 500, 10));
        _check("curve", own, Plans.curve(_address(0xa1), _address(0xa3), 1, 2));
        _check("curve_crypto", own, Plans.curveCrypto(_address(0xa1), _address(0xa3), 1, 2));
        _check("aave_liquidation", own, Plans.aaveLiquidation(_address(0xa1), _address(0xa4), 5));
        bytes memory hop =
            Plans.morphoLiquidation(_address(0xa1), _address(0xa4), _address(0xa5), _address(0xa6), 0.86e18, 1e30);
        _check("morpho_liquidation", own, hop);
    }

    function test_every_lender() public view {
        bytes memory hop = Plans.sushi(_address(0xa1));
        _check("balancer_lends", Header(Plans.BALANCER, 0, 1 ether, 0, 0), hop);
        _check("aave_lends", Header(Plans.AAVE, 0, 1 ether, 0, 0), hop);
        bytes memory pool = Plans.lendingPool(_address(0xa2), 100);
        _check("pool_lends", Header(Plans.POOL, 0, 1 ether, 0, 0), bytes.concat(pool, hop));
        _check("morpho_lends", Header(Plans.MORPHO, 0, 1 ether, 0, 0), hop);
        _check("listed_lends", Header(Plans.LISTED, 0, 1 ether, 0, 0), abi.encodePacked(_address(0xa7), hop));
    }
}
