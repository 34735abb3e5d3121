// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Header, Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Where a protocol is missing, an executor is bound to nobody: plans that name it move nothing, all others run.
contract BindingsTest is WorldTest {
    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
    }

    function _bind(ExecutorBindings memory bindings) private {
        executor = new ArbExecutor(bindings);
        _loosen(Change(ChangeKind.Executor, address(executor), 0));
    }

    function _runs(Header memory header, bytes memory rest) private {
        header.lastBlock = uint40(block.number);
        assertGt(_execute(header.borrowed == 0 ? 1 ether : 0, Plans.pack(header, rest)), 0, "profit");
        _assertExecutorIsEmpty();
    }

    function _movesNothing(Header memory header, bytes memory rest) private {
        header.lastBlock = uint40(block.number);
        uint256 before = IERC20(weth).balanceOf(address(safe));
        bytes memory plan = Plans.pack(header, rest);
        bytes memory call =
            abi.encodeCall(IVaultModule.execute, (address(safe), weth, header.borrowed == 0 ? 1 ether : 0, plan));
        vm.prank(alice);
        (bool done,) = address(module).call(call);
        assertFalse(done, "it ran");
        assertEq(IERC20(weth).balanceOf(address(safe)), before, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function _back(bytes memory hop) private view returns (bytes memory) {
        return abi.encodePacked(Plans.uniswapV2(usdc), hop);
    }

    function test_all_of_these_run_where_everything_is_bound() public {
        _runs(Plans.own(), _twoHops());
        _runs(Plans.own(), _back(Plans.sushi(weth)));
        _runs(Plans.own(), _back(Plans.balancer(weth, wethUsdcPoolId)));
        _runs(Plans.own(), _back(Plans.uniswapV4(weth, 3000, 60)));
        _runs(Plans.loan(Plans.BALANCER, 1 ether), _twoHops());
        _runs(Plans.loan(Plans.AAVE, 1 ether), _twoHops());
        _runs(Plans.loan(Plans.POOL, 1 ether), abi.encodePacked(Plans.lendingPool(usdc, 3000), _twoHops()));
    }

    function test_without_balancer() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.balancerVault = address(0);
        _bind(bindings);
        _movesNothing(Plans.loan(Plans.BALANCER, 1 ether), _twoHops());
        _movesNothing(Plans.own(), _back(Plans.balancer(weth, wethUsdcPoolId)));
        _runs(Plans.own(), _twoHops());
    }

    function test_without_aave() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.aavePool = address(0);
        _bind(bindings);
        _movesNothing(Plans.loan(Plans.AAVE, 1 ether), _twoHops());
        _runs(Plans.own(), _twoHops());
    }

    function test_without_morpho() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.morpho = address(0);
        _bind(bindings);
        _movesNothing(Plans.loan(Plans.MORPHO, 1 ether), _twoHops());
        _runs(Plans.own(), _twoHops());
    }

    function test_without_uniswap_v4() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.poolManager = address(0);
        _bind(bindings);
        _movesNothing(Plans.own(), _back(Plans.uniswapV4(weth, 3000, 60)));
        _runs(Plans.own(), _twoHops());
    }

    function test_without_uniswap_v3() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.uniswapV3.factory = address(0);
        _bind(bindings);
        _movesNothing(Plans.own(), _twoHops());
        _movesNothing(
            Plans.loan(Plans.POOL, 1 ether), abi.encodePacked(Plans.lendingPool(usdc, 3000), _back(Plans.sushi(weth)))
        );
        _runs(Plans.own(), _back(Plans.sushi(weth)));
    }

    function test_without_a_factory_of_pairs() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.sushiSwap.factory = address(0);
        _bind(bindings);
        _movesNothing(Plans.own(), _back(Plans.sushi(weth)));
        _runs(Plans.own(), _twoHops());
    }

    /// Without WETH nothing is wrapped ether: no builder is paid out of anything.
    function test_without_weth() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.weth = address(0);
        _bind(bindings);
        Header memory header = Plans.own();
        header.bid = 1;
        _movesNothing(header, _twoHops());
        _runs(Plans.own(), _twoHops());
        vm.deal(mallory, 1 ether);
        vm.prank(mallory);
        (bool done, bytes memory answer) = address(executor).call{value: 1}("");
        assertFalse(done, "ether of a stranger");
        assertEq(bytes4(answer), IArbExecutor.UnexpectedEther.selector, "the reason");
    }

    /// An executor of nobody is nobody's to call.
    function test_without_a_module(address who) public {
        vm.assume(who != address(0)); // nobody has the key of it
        ExecutorBindings memory bindings = _bindings();
        bindings.module = address(0);
        _bind(bindings);
        bytes memory plan = _plan(Plans.own());
        vm.prank(who);
        vm.expectRevert(IArbExecutor.NotModule.selector);
        executor.execute(alice, weth, 0, 0, plan);
        vm.prank(alice);
        vm.expectRevert(IArbExecutor.NotModule.selector);
        module.execute(address(safe), weth, 1 ether, plan);
    }
}
