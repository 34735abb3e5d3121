// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {FlashPurse} from "./base/FlashPurse.sol";
import {Plans} from "./base/Plans.sol";
import {IAaveLending, IPair, IPairFactory} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {HookedToken} from "./malicious/HookedToken.sol";
import {ForeignPurse, LyingMorpho, LyingPurse, SilentManager, SilentPurse} from "./malicious/Lenders.sol";

/// A lender that takes the request and never calls back.
contract SilentLender {
    function flashLoanSimple(address, address, uint256, bytes calldata, uint16) external {}
}

/// A lender that calls back with another payload than it was given, or twice.
contract LyingLender {
    bool private immutable TWICE;

    constructor(bool twice) {
        TWICE = twice;
    }

    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16) external {
        bytes memory payload = TWICE ? data : bytes.concat(data, hex"00");
        IArbExecutor(to).executeOperation(asset, amount, 0, to, payload);
        IArbExecutor(to).executeOperation(asset, amount, 0, to, payload);
    }
}

/// Lends on behalf of somebody else: says so.
contract ForeignLender {
    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16) external {
        IArbExecutor(to).executeOperation(asset, amount, 0, address(this), data);
    }
}

/// Callbacks come in only from the contract of the call under way, with the payload it was given, once; and nothing
/// can be begun in the middle of something.
contract CallbackTest is WorldTest {
    HookedToken private hook;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(1_000_000);
        hook = new HookedToken();
    }

    // Out of the blue

    function test_of_nobody_is_refused(address caller, bytes calldata data) public {
        vm.startPrank(caller);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.uniswapV3SwapCallback(1, -1, data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.uniswapV3FlashCallback(0, 0, data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.executeOperation(weth, 1, 0, address(executor), data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.receiveFlashLoan(new address[](1), new uint256[](1), new uint256[](1), data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.unlockCallback(data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.onMorphoFlashLoan(1, data);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.onFlashLoan(address(executor), weth, 1, 0, data);
    }

    function test_for_a_loan_that_somebody_else_takes_is_refused() public {
        IAaveLending aave = IAaveLending(_contract("aave_pool"));
        vm.prank(mallory);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        aave.flashLoanSimple(address(executor), weth, 1 ether, _twoHops(), 0);
        FlashPurse purse = new FlashPurse(0);
        _give(weth, address(purse), 1 ether);
        vm.prank(mallory);
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        purse.flashLoan(IERC3156FlashBorrower(address(executor)), weth, 1 ether, _twoHops());
    }

    // Of lenders that are not what they should be

    function _executeWithLender(address lender) private {
        ExecutorBindings memory bindings = _bindings();
        (bindings.aavePool, bindings.module) = (lender, address(this));
        executor = new ArbExecutor(bindings);
        executor.execute(alice, weth, 0, 0, _plan(Plans.loan(Plans.AAVE, 1 ether)));
    }

    function test_that_never_comes_is_noticed() public {
        address lender = address(new SilentLender());
        vm.expectRevert(IArbExecutor.CallbackMissing.selector);
        this.executeWithLender(lender);
    }

    function test_with_another_payload_is_refused() public {
        address lender = address(new LyingLender(false));
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        this.executeWithLender(lender);
    }

    function test_that_comes_twice_is_refused() public {
        address lender = address(new LyingLender(true));
        ExecutorBindings memory bindings = _bindings();
        (bindings.aavePool, bindings.module) = (lender, address(this));
        executor = new ArbExecutor(bindings);
        _give(weth, address(executor), 1 ether);
        bytes memory plan = _plan(Plans.loan(Plans.AAVE, 1 ether));
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        executor.execute(alice, weth, 0, 0, plan);
    }

    function test_from_a_loan_of_another_initiator_is_refused() public {
        address lender = address(new ForeignLender());
        vm.expectRevert(abi.encodeWithSelector(IArbExecutor.ForeignInitiator.selector, lender));
        this.executeWithLender(lender);
    }

    function executeWithLender(address lender) external {
        _executeWithLender(lender);
    }

    /// An executor of this test's own, on a plan that borrows; `rest` goes in front of the hops.
    function executeWith(ExecutorBindings memory bindings, uint8 source, bytes memory rest) external {
        bindings.module = address(this);
        executor = new ArbExecutor(bindings);
        _give(weth, address(executor), 1 ether);
        bytes memory hops = bytes.concat(rest, _twoHops());
        executor.execute(alice, weth, 0, 0, Plans.pack(Plans.loan(source, 1 ether), hops));
    }

    function _refusesLender(address lender, bytes memory reason) private {
        ExecutorBindings memory bindings = _bindings();
        bindings.flashLenders = new address[](1);
        bindings.flashLenders[0] = lender;
        vm.expectRevert(reason);
        this.executeWith(bindings, Plans.LISTED, abi.encodePacked(lender));
    }

    function test_of_a_listed_lender_that_lies_is_refused() public {
        bytes memory unexpected = abi.encodeWithSelector(IArbExecutor.UnexpectedCallback.selector);
        _refusesLender(address(new LyingPurse(false)), unexpected);
        _refusesLender(address(new LyingPurse(true)), unexpected);
        _refusesLender(address(new SilentPurse()), abi.encodeWithSelector(IArbExecutor.CallbackMissing.selector));
        address foreign = address(new ForeignPurse());
        _refusesLender(foreign, abi.encodeWithSelector(IArbExecutor.ForeignInitiator.selector, foreign));
    }

    function test_of_a_morpho_that_lies_is_refused() public {
        ExecutorBindings memory bindings = _bindings();
        bindings.morpho = address(new LyingMorpho(2));
        vm.expectRevert(IArbExecutor.UnexpectedCallback.selector);
        this.executeWith(bindings, Plans.MORPHO, "");
        bindings.morpho = address(new LyingMorpho(0));
        vm.expectRevert(IArbExecutor.CallbackMissing.selector);
        this.executeWith(bindings, Plans.MORPHO, "");
    }

    function test_of_a_manager_that_never_comes_is_noticed() public {
        ExecutorBindings memory bindings = _bindings();
        (bindings.poolManager, bindings.module) = (address(new SilentManager()), address(this));
        executor = new ArbExecutor(bindings);
        _give(weth, address(executor), 1 ether);
        bytes memory hops = abi.encodePacked(Plans.uniswapV4(usdc, 500, 10), Plans.uniswapV4(weth, 500, 10));
        bytes memory plan = Plans.pack(Plans.own(), hops);
        vm.expectRevert(IArbExecutor.CallbackMissing.selector);
        executor.execute(alice, weth, 1 ether, 0, plan);
    }

    // In the middle of a route, by a token of Mallory's

    /// A pair of WETH and Mallory's token, and a route through it that gives back a little more than it takes.
    function _hookedPlan() private returns (bytes memory) {
        IPairFactory factory = IPairFactory(_contract("uniswap_v2_factory"));
        IPairFactory other = IPairFactory(_contract("sushi_factory"));
        _fill(factory.createPair(weth, address(hook)), 10 ether, 10 ether);
        _fill(other.createPair(weth, address(hook)), 20 ether, 10 ether);
        return Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(weth)));
    }

    function _fill(address pair, uint256 wethAmount, uint256 hookAmount) private {
        _give(weth, pair, wethAmount);
        hook.mint(pair, hookAmount);
        IPair(pair).mint(mallory);
    }

    function _assertHookRefused(bytes4 reason) private view {
        assertTrue(hook.called(), "the hook was called");
        assertFalse(hook.succeeded(), "the call in the middle");
        assertEq(bytes4(hook.answer()), reason, "why it failed");
        _assertExecutorIsEmpty();
    }

    function test_in_the_middle_of_a_route_is_refused() public {
        bytes memory plan = _hookedPlan();
        bytes memory payload = abi.encode(weth, 1 ether);
        hook.onNextTransfer(
            address(executor), abi.encodeCall(IArbExecutor.uniswapV3SwapCallback, (1 ether, -1, payload))
        );
        _execute(0.1 ether, plan);
        _assertHookRefused(IArbExecutor.UnexpectedCallback.selector);
    }

    function test_a_second_execution_in_the_middle_of_one_is_refused() public {
        bytes memory plan = _hookedPlan();
        _bySafe(address(module), abi.encodeCall(module.tighten, (address(safe), _noOperator())));
        _loosen(_newOperator(address(hook))); // the worst case: Mallory's token holds the hot key
        hook.onNextTransfer(
            address(module), abi.encodeCall(IVaultModule.execute, (address(safe), weth, 0.1 ether, plan))
        );
        plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(weth)));
        vm.prank(address(hook));
        module.execute(address(safe), weth, 0.1 ether, plan);
        _assertHookRefused(IVaultModule.VaultBusy.selector);
    }

    function test_the_executor_does_not_nest_either() public {
        bytes memory plan = _hookedPlan();
        hook.onNextTransfer(address(executor), abi.encodeCall(IArbExecutor.execute, (alice, weth, 0, 0, plan)));
        _execute(0.1 ether, plan);
        _assertHookRefused(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
    }

    function test_nothing_can_be_taken_from_the_executor_in_the_middle_of_a_route() public {
        bytes memory plan = _hookedPlan();
        hook.onNextTransfer(weth, abi.encodeCall(IERC20.transferFrom, (address(executor), mallory, 0.01 ether)));
        _execute(0.1 ether, plan);
        assertTrue(hook.called() && !hook.succeeded(), "the hook's transfer");
        assertEq(IERC20(weth).balanceOf(mallory), 0, "Mallory's WETH");
        _assertExecutorIsEmpty();
    }
}
