// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Header, Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// What executions cost, as transactions of their own: snapshots/GasTest.json, compared by `scripts/test contracts`.
/// forge-config: default.isolate = true
contract GasTest is WorldTest {
    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
        _execute(0.01 ether, _plan(Plans.own())); // the Safe and the pools have seen the tokens before
    }

    function _measure(string memory name, uint256 drawn, bytes memory plan) private {
        uint256 before = vm.snapshotState();
        vm.prank(alice);
        module.execute(address(safe), weth, drawn, plan);
        vm.snapshotGasLastCall(name);
        vm.revertToState(before);
    }

    function test_gas_of_hops() public {
        Header memory own = Plans.own();
        bytes memory v2 = Plans.uniswapV2(usdc);
        _measure("drawn: V2, Sushi", 1 ether, Plans.pack(own, abi.encodePacked(v2, Plans.sushi(weth))));
        _measure("drawn: V2, V3", 1 ether, Plans.pack(own, abi.encodePacked(v2, Plans.uniswapV3(weth, 500))));
        bytes memory balancer = abi.encodePacked(v2, Plans.balancer(weth, wethUsdcPoolId));
        _measure("drawn: V2, Balancer", 1 ether, Plans.pack(own, balancer));
        bytes memory three = abi.encodePacked(v2, Plans.uniswapV2(dai), Plans.sushi(weth));
        _measure("drawn: V2, V2, Sushi", 1 ether, Plans.pack(own, three));
        three = abi.encodePacked(v2, Plans.uniswapV3(dai, 100), Plans.sushi(weth));
        _measure("drawn: V2, V3, Sushi", 1 ether, Plans.pack(own, three));
        _measureFurtherVenues(own, v2);
        own.bid = 0.001 ether;
        _measure("drawn: V2, Sushi, builder paid", 1 ether, Plans.pack(own, abi.encodePacked(v2, Plans.sushi(weth))));
    }

    function _measureFurtherVenues(Header memory own, bytes memory v2) private {
        _measure("drawn: V2, V4", 1 ether, Plans.pack(own, abi.encodePacked(v2, Plans.uniswapV4(weth, 3000, 60))));
        bytes memory inEther = abi.encodePacked(v2, Plans.uniswapV4InEther(weth, 500, 10));
        _measure("drawn: V2, V4 in ether", 1 ether, Plans.pack(own, inEther));
        bytes memory curve = Plans.curve(dai, _contract("curve_stable_pool"), 1, 0);
        _measure("drawn: V2, Curve, Sushi", 1 ether, Plans.pack(own, abi.encodePacked(v2, curve, Plans.sushi(weth))));
    }

    function test_gas_of_liquidations() public {
        _movePrice("WETH", 970);
        bytes memory aave = Plans.aaveLiquidation(weth, _account("borrower-0"));
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), aave);
        _measure("drawn: V3, Aave liquidation", 1 ether, Plans.pack(Plans.own(), hops));
        bytes memory plan =
            Plans.pack(Plans.loan(Plans.MORPHO, 3_000e6), abi.encodePacked(aave, Plans.uniswapV3(usdc, 500)));
        vm.prank(alice);
        module.execute(address(safe), usdc, 0, plan);
        vm.snapshotGasLastCall("Morpho lends: Aave liquidation, V3");
    }

    function test_gas_of_loans() public {
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(weth));
        _measure("Balancer lends: V2, Sushi", 0, Plans.pack(Plans.loan(Plans.BALANCER, 1 ether), hops));
        _give(weth, _contract("morpho"), 1 ether);
        _measure("Morpho lends: V2, Sushi", 0, Plans.pack(Plans.loan(Plans.MORPHO, 1 ether), hops));
        _measure("Aave lends: V2, Sushi", 0, Plans.pack(Plans.loan(Plans.AAVE, 1 ether), hops));
        bytes memory rest = abi.encodePacked(Plans.lendingPool(dai, 3000), hops);
        _measure("V3 pool lends: V2, Sushi", 0, Plans.pack(Plans.loan(Plans.POOL, 1 ether), rest));
    }
}
