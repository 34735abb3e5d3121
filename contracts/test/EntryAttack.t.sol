// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor, PairFactory} from "../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {PoolFiller} from "./base/PoolFiller.sol";
import {IPair, IPairFactory} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";
import {StrayingExecutor} from "./malicious/Executors.sol";
import {HookedToken} from "./malicious/HookedToken.sol";
import {LazyFactory} from "./malicious/Pairs.sol";
import {RivalSafe} from "./malicious/RivalSafe.sol";

/// What lies in a pair that has not booked it yet is anybody's. Nobody comes between draw and swap but a token's own
/// code; whatever that does there, what was drawn is back in the Safe at the end, or nothing has happened.
contract EntryAttackTest is WorldTest {
    bytes private constant NOTHING_CAME_IN = "UniswapV2: INSUFFICIENT_INPUT_AMOUNT";
    uint256 private constant ZERO_FOR_ONE = 2 << 160;
    uint256 private constant ONE_FOR_ZERO = 1 << 160;

    HookedToken private hook;

    function setUp() public override {
        super.setUp();
        hook = new HookedToken();
    }

    function _fill(string memory factory, address token, uint256 amount, uint256 hooks) private returns (address pair) {
        pair = IPairFactory(_contract(factory)).createPair(token, address(hook));
        _give(token, pair, amount);
        hook.mint(pair, hooks);
        IPair(pair).mint(mallory);
    }

    // In the midst of the draw: the token that is drawn calls Mallory

    address private hookedPair;
    bytes private hookedPlan;

    /// The Safe's owners have pinned a token that calls Mallory; on two pairs of it there is something to earn.
    function _pinHook() private {
        hookedPair = _fill("uniswap_v2_factory", usdc, 20_000e6, 10 ether);
        _fill("sushi_factory", usdc, 20_000e6, 20 ether);
        hook.mint(address(safe), 100 ether);
        _loosen(Change(ChangeKind.Token, address(hook), MAX_DRAW));
        hookedPlan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(address(hook))));
    }

    function _drawHook(uint256 drawn) private returns (uint256) {
        vm.prank(alice);
        return module.execute(address(safe), address(hook), drawn, hookedPlan);
    }

    /// That the same execution lands without the call shows that it is the call which stops it.
    function _callInTheDrawUndoesIt(uint256 drawn, address target, bytes memory data) private {
        hook.onNextTransfer(target, data);
        vm.expectRevert(NOTHING_CAME_IN);
        _drawHook(drawn);
        assertEq(hook.balanceOf(address(safe)), 100 ether, "P14: the Safe's balance");
        assertEq(hook.balanceOf(mallory) + IERC20(usdc).balanceOf(mallory), 0, "what Mallory has");
        hook.onNextTransfer(address(0), "");
        assertGt(_drawHook(drawn), 0, "the profit without her");
        assertGt(hook.balanceOf(address(safe)), 100 ether, "P14: the Safe's balance without her");
    }

    function test_skimming_the_pair_in_the_midst_of_the_draw_undoes_it(uint256 drawn) public {
        _pinHook();
        drawn = bound(drawn, 1e12, 0.5 ether);
        _callInTheDrawUndoesIt(drawn, hookedPair, abi.encodeCall(IPair.skim, (mallory)));
    }

    function test_booking_it_as_the_pairs_own_undoes_it(uint256 drawn) public {
        _pinHook();
        drawn = bound(drawn, 1e12, 0.5 ether);
        _callInTheDrawUndoesIt(drawn, hookedPair, abi.encodeCall(IPair.sync, ()));
    }

    function test_swapping_for_it_undoes_it(uint256 drawn) public {
        _pinHook();
        drawn = bound(drawn, 1e14, 0.5 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", address(hook), usdc, drawn);
        (uint256 out0, uint256 out1) = usdc < address(hook) ? (dollars, uint256(0)) : (uint256(0), dollars);
        _callInTheDrawUndoesIt(drawn, hookedPair, abi.encodeCall(IPair.swap, (out0, out1, mallory, "")));
    }

    function test_a_vault_of_hers_that_executes_with_it_undoes_it(uint256 drawn) public {
        _pinHook();
        drawn = bound(drawn, 1e12, 0.5 ether);
        RivalSafe rival = new RivalSafe();
        rival.open(module, address(hook), executor, address(hook));
        bytes memory call = abi.encodeCall(IVaultModule.execute, (address(rival), address(hook), drawn, hookedPlan));
        _callInTheDrawUndoesIt(drawn, address(module), call);
    }

    function test_a_vault_that_does_not_pay_the_pair_gets_nothing(uint256 drawn) public {
        _makeWethDearOnUniswapV2(1_000_000);
        drawn = bound(drawn, 1e12, 20 ether);
        RivalSafe rival = new RivalSafe();
        rival.open(module, mallory, executor, weth);
        bytes memory plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(weth)));
        vm.prank(mallory);
        vm.expectRevert(NOTHING_CAME_IN);
        module.execute(address(rival), weth, drawn, plan);
        plan = _plan(Plans.own()); // the pair is to pay the pool
        vm.prank(mallory);
        vm.expectRevert(NOTHING_CAME_IN);
        module.execute(address(rival), weth, drawn, plan);
        plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth)));
        vm.prank(mallory);
        vm.expectRevert();
        module.execute(address(rival), weth, drawn, plan);
        assertEq(IERC20(weth).balanceOf(address(rival)) + IERC20(weth).balanceOf(mallory), 0, "what she has");
    }

    // While a pair waits for the pool's callback: the token that the pool gives calls Mallory

    address private hookedPool;

    /// WETH to dollars on the genuine pair, which waits; dollars to Mallory's token in a pool of hers, which calls her
    /// before the callback; and back into WETH on a pair of hers, at a profit for the vault.
    function _waitingPlan() private returns (bytes memory) {
        PoolFiller filler = new PoolFiller();
        _give(usdc, address(filler), 1_000_000e6 + 1);
        hook.mint(address(filler), 1_000_000e6 + 1);
        hookedPool = filler.open(_contract("uniswap_v3_factory"), usdc, address(hook), 1_000_000e6);
        _fill("uniswap_v2_factory", weth, 1_000 ether, 1_000_000e6);
        return Plans.pack(
            Plans.own(),
            abi.encodePacked(Plans.uniswapV2(usdc), Plans.uniswapV3(address(hook), 3000), Plans.uniswapV2(weth))
        );
    }

    function _callWhileThePairWaitsUndoesIt(uint256 drawn, bytes memory data) private {
        bytes memory plan = _waitingPlan();
        hook.onNextTransfer(_pair(weth, usdc), data);
        vm.expectRevert(NOTHING_CAME_IN);
        _execute(drawn, plan);
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL, "P14: the Safe's balance");
        assertEq(IERC20(weth).balanceOf(mallory) + IERC20(usdc).balanceOf(mallory), 0, "what Mallory has");
        hook.onNextTransfer(address(0), "");
        assertGt(_execute(drawn, plan), 0, "the profit without her");
        _assertExecutorIsEmpty();
    }

    function test_skimming_the_pair_while_it_waits_undoes_the_execution(uint256 drawn) public {
        drawn = bound(drawn, 1e13, 20 ether);
        _callWhileThePairWaitsUndoesIt(drawn, abi.encodeCall(IPair.skim, (mallory)));
    }

    function test_booking_it_while_the_pair_waits_undoes_the_execution(uint256 drawn) public {
        drawn = bound(drawn, 1e13, 20 ether);
        _callWhileThePairWaitsUndoesIt(drawn, abi.encodeCall(IPair.sync, ()));
    }

    function test_swapping_for_it_while_the_pair_waits_undoes_the_execution(uint256 drawn) public {
        drawn = bound(drawn, 1e13, 20 ether);
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        (uint256 out0, uint256 out1) = usdc < weth ? (dollars, uint256(0)) : (uint256(0), dollars);
        _callWhileThePairWaitsUndoesIt(drawn, abi.encodeCall(IPair.swap, (out0, out1, mallory, "")));
    }

    /// She knows the payload word for word: it is the pool's to come back with.
    function test_nobody_but_the_pool_makes_the_pair_pay(uint256 drawn) public {
        drawn = bound(drawn, 1e13, 20 ether);
        bytes memory plan = _waitingPlan();
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        uint256 payer = uint160(_pair(weth, usdc)) | (weth < usdc ? ZERO_FOR_ONE : ONE_FOR_ZERO);
        bytes memory payload = abi.encode(payer, dollars);
        hook.onNextTransfer(
            address(executor), abi.encodeCall(IArbExecutor.uniswapV3SwapCallback, (int256(dollars), -1, payload))
        );
        uint256 profit = _execute(drawn, plan);
        assertTrue(hook.called() && !hook.succeeded(), "her callback");
        assertEq(bytes4(hook.answer()), IArbExecutor.UnexpectedCallback.selector, "why it failed");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL + profit, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    function test_a_stranger_who_pays_the_pool_has_made_it_a_present(uint256 drawn, uint256 present) public {
        (drawn, present) = (bound(drawn, 1e13, 20 ether), bound(present, 1, 100_000e6));
        bytes memory plan = _waitingPlan();
        _give(usdc, address(hook), present);
        hook.onNextTransfer(usdc, abi.encodeCall(IERC20.transfer, (hookedPool, present)));
        uint256 dollars = _pairQuote("uniswap_v2_router", weth, usdc, drawn);
        uint256 pooled = IERC20(usdc).balanceOf(hookedPool);
        uint256 profit = _execute(drawn, plan);
        assertTrue(hook.succeeded(), "her payment");
        assertEq(IERC20(usdc).balanceOf(hookedPool), pooled + dollars + present, "the pair paid all the same");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL + profit, "P14: the Safe's balance");
        _assertExecutorIsEmpty();
    }

    // Pairs that give nothing, as if a factory had made them

    function test_a_pair_that_gives_nothing_gets_nothing_past_the_pool(uint256 drawn) public {
        drawn = bound(drawn, 1e12, 20 ether);
        LazyFactory lazy = new LazyFactory();
        address pair = lazy.createPair(weth, usdc);
        ExecutorBindings memory bindings = _bindings();
        bindings.uniswapV2 = PairFactory(address(lazy), lazy.INIT_CODE_HASH(), PAIR_FEE_PIPS);
        executor = new ArbExecutor(bindings);
        _loosen(Change(ChangeKind.Executor, address(executor), 0));
        bytes memory plan = _plan(Plans.own());
        assertEq(executor.entryOf(weth, plan), pair, "where the draw goes");
        vm.expectRevert(bytes("IIA"));
        _execute(drawn, plan);
        plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(weth)));
        vm.expectRevert(NOTHING_CAME_IN);
        _execute(drawn, plan);
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL, "P14: the Safe's balance");
        assertEq(IERC20(weth).balanceOf(pair), 0, "what the pair has");
    }

    // Executors that send the draw elsewhere, as if the Safe's owners had pinned one

    function _straying(uint256 drawn, uint256 owed, uint256 allowed, address entry) private returns (bool done) {
        StrayingExecutor straying = new StrayingExecutor(owed, allowed, entry);
        _give(weth, address(straying), 2 * drawn); // it can pay
        _loosen(Change(ChangeKind.Executor, address(straying), 0));
        vm.prank(alice);
        (done,) = address(module).call(abi.encodeCall(IVaultModule.execute, (address(safe), weth, drawn, "")));
    }

    function test_wherever_the_draw_goes_as_much_comes_back(uint256 drawn, uint256 owed, uint256 allowed, address entry)
        public
    {
        vm.assume(entry != address(safe));
        drawn = bound(drawn, 1, MAX_DRAW);
        (owed, allowed) = (bound(owed, 0, 2 * drawn), bound(allowed, 0, 2 * drawn));
        bool done = _straying(drawn, owed, allowed, entry);
        assertEq(done, owed >= drawn && allowed >= owed, "P14: whether it was let through");
        uint256 expected = done ? PRINCIPAL - drawn + owed : PRINCIPAL;
        assertEq(IERC20(weth).balanceOf(address(safe)), expected, "P14: the Safe's balance");
    }

    function test_a_draw_into_the_safe_itself_is_none_and_is_owed_all_the_same(uint256 drawn, uint256 owed) public {
        drawn = bound(drawn, 1, MAX_DRAW);
        owed = bound(owed, 0, 2 * drawn);
        bool done = _straying(drawn, owed, owed, address(safe));
        assertEq(done, owed >= drawn, "P14: whether it was let through");
        uint256 expected = done ? PRINCIPAL + owed : PRINCIPAL;
        assertEq(IERC20(weth).balanceOf(address(safe)), expected, "P14: the Safe's balance");
    }
}
