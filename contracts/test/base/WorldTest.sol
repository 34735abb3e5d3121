// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Test} from "forge-std/Test.sol";
import {ArbExecutor} from "../../src/ArbExecutor.sol";
import {NetworkParameters} from "../../src/NetworkParameters.sol";
import {VaultModule} from "../../src/VaultModule.sol";
import {ExecutorBindings, PairFactory, PoolFactory} from "../../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule, TokenLimit} from "../../src/interfaces/IVaultModule.sol";
import {Header, Plans} from "./Plans.sol";
import {
    IBalancerQuestions,
    IEther,
    IMintable,
    IPairFactory,
    IPairRouter,
    IPoolFactory,
    IPoolQuoter,
    IPriceAggregator,
    ISafeAccount,
    ISingletonQuoter
} from "./Protocols.sol";

/// @title The devnet's world with a vault opened for its 2-of-3 Safe
/// @dev `scripts/forge` writes the world's state and its names; every protocol in it is the genuine one.
abstract contract WorldTest is Test {
    using SafeERC20 for IERC20;

    bytes32 internal constant UNISWAP_V2_INIT_CODE_HASH =
        0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f;
    bytes32 internal constant SUSHI_INIT_CODE_HASH = 0xe18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303;
    bytes32 internal constant UNISWAP_V3_INIT_CODE_HASH =
        0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54;
    uint256 internal constant PAIR_FEE_PIPS = 3000;
    uint128 internal constant MAX_DRAW = 50 ether;
    uint88 internal constant BID_CAP = 1 ether;
    uint256 internal constant PRINCIPAL = 100 ether;

    address internal immutable alice = makeAddr("alice, the hot key");
    address internal immutable mallory = makeAddr("mallory, the attacker");
    address internal immutable builder = makeAddr("builder");
    address internal immutable timelock = makeAddr("the Timelock");
    address internal bob; // owners of the Safe
    address internal carol;
    address internal dave;

    ISafeAccount internal safe;
    NetworkParameters internal parameters;
    VaultModule internal module;
    ArbExecutor internal executor;

    address internal weth;
    address internal usdc;
    address internal dai;
    address internal wbtc;
    bytes32 internal wethUsdcPoolId;

    string private _names;

    function setUp() public virtual {
        vm.loadAllocs("build/world/accounts.json");
        _names = vm.readFile("build/world/names.json");
        vm.roll(vm.parseJsonUint(_names, ".block") + 1);
        vm.warp(vm.parseJsonUint(_names, ".timestamp") + 2);
        vm.coinbase(builder);
        vm.chainId(31337);
        (weth, usdc) = (_token("WETH"), _token("USDC"));
        (dai, wbtc) = (_token("DAI"), _token("WBTC"));
        wethUsdcPoolId = vm.parseJsonBytes32(_names, ".poolIds.['balancer_v2_weighted:WETH_USDC:3000']");
        (bob, carol, dave) = (_account("safe-owner-0"), _account("safe-owner-1"), _account("safe-owner-2"));
        safe = ISafeAccount(_contract("safe"));
        parameters = new NetworkParameters(timelock, 1 ether, 0, 5_000);
        module = new VaultModule(parameters);
        executor = new ArbExecutor(_bindings());
        _give(weth, address(safe), PRINCIPAL);
        _bySafe(address(safe), abi.encodeCall(ISafeAccount.enableModule, (address(module))));
        _bySafe(address(module), abi.encodeCall(IVaultModule.open, (alice, executor, BID_CAP, _limits())));
        _label();
    }

    // What stands where

    function _contract(string memory name) internal view returns (address) {
        return vm.parseJsonAddress(_names, string.concat(".contracts.", name));
    }

    function _token(string memory symbol) internal view returns (address) {
        return vm.parseJsonAddress(_names, string.concat(".tokens.", symbol));
    }

    function _account(string memory name) internal view returns (address) {
        return vm.parseJsonAddress(_names, string.concat(".accounts.['", name, "']"));
    }

    function _bindings() internal view returns (ExecutorBindings memory) {
        address[] memory curvePools = new address[](1);
        curvePools[0] = _contract("curve_stable_pool");
        return ExecutorBindings({
            module: address(module),
            weth: weth,
            uniswapV2: PairFactory(_contract("uniswap_v2_factory"), UNISWAP_V2_INIT_CODE_HASH, PAIR_FEE_PIPS),
            sushiSwap: PairFactory(_contract("sushi_factory"), SUSHI_INIT_CODE_HASH, PAIR_FEE_PIPS),
            uniswapV3: PoolFactory(_contract("uniswap_v3_factory"), UNISWAP_V3_INIT_CODE_HASH),
            balancerVault: _contract("balancer_vault"),
            aavePool: _contract("aave_pool"),
            ledger: address(0), // plans of orders: tests/contracts/test_orders.py
            poolManager: _contract("uniswap_v4_pool_manager"),
            morpho: _contract("morpho"),
            curvePools: curvePools,
            flashLenders: new address[](0)
        });
    }

    function _limits() internal view returns (TokenLimit[] memory limits) {
        limits = new TokenLimit[](2);
        limits[0] = TokenLimit(weth, MAX_DRAW);
        limits[1] = TokenLimit(usdc, 0); // borrowed funds only
    }

    function _pair(address tokenA, address tokenB) internal view returns (address) {
        return IPairFactory(_contract("uniswap_v2_factory")).getPair(tokenA, tokenB);
    }

    function _pool(address tokenA, address tokenB, uint24 fee) internal view returns (address) {
        return IPoolFactory(_contract("uniswap_v3_factory")).getPool(tokenA, tokenB, fee);
    }

    function _label() private {
        vm.label(address(safe), "safe");
        vm.label(address(module), "module");
        vm.label(address(executor), "executor");
        vm.label(weth, "WETH");
        vm.label(usdc, "USDC");
    }

    // Who does what

    /// Bob and Carol approve a transaction of the Safe, and Carol sends it.
    function _bySafe(address to, bytes memory data) internal {
        bytes32 hash = safe.getTransactionHash(to, 0, data, 0, 0, 0, 0, address(0), address(0), safe.nonce());
        vm.prank(bob);
        safe.approveHash(hash);
        vm.prank(carol);
        safe.approveHash(hash);
        (address first, address second) = bob < carol ? (bob, carol) : (carol, bob);
        bytes memory signatures =
            abi.encodePacked(abi.encode(first, uint256(0)), uint8(1), abi.encode(second, uint256(0)), uint8(1));
        vm.prank(carol);
        safe.execTransaction(to, 0, data, 0, 0, 0, 0, address(0), payable(address(0)), signatures);
    }

    /// The Safe proposes a change, waits until it is due, and enacts it.
    function _loosen(Change memory change) internal {
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (change)));
        skip(module.LOOSENING_DELAY());
        module.enact(address(safe), change);
    }

    /// Governance takes a token, a pool, a venue or an executor out of use.
    function _remove(address subject) internal {
        vm.prank(timelock);
        parameters.remove(bytes32(uint256(uint160(subject))));
    }

    function _noOperator() internal pure returns (Change memory) {
        return Change(ChangeKind.Operator, address(0), 0);
    }

    function _newOperator(address operator) internal pure returns (Change memory) {
        return Change(ChangeKind.Operator, operator, 0);
    }

    function _depositChange(address exchange, address token, uint256 cap) internal pure returns (Change memory) {
        return Change(ChangeKind.Deposit, exchange, (cap << 160) | uint160(token));
    }

    function _execute(uint256 drawn, bytes memory plan) internal returns (uint256 profit) {
        vm.prank(alice);
        return module.execute(address(safe), weth, drawn, plan);
    }

    function _give(address token, address to, uint256 amount) internal {
        if (token == weth) {
            vm.deal(address(this), amount);
            IEther(weth).deposit{value: amount}();
            IERC20(weth).safeTransfer(to, amount);
        } else {
            vm.prank(IMintable(token).minter());
            IMintable(token).mint(to, amount);
        }
    }

    /// Someone buys WETH with so many dollars on Uniswap V2, where it is then dearer than elsewhere.
    function _makeWethDearOnUniswapV2(uint256 dollars) internal {
        address pair = _pair(weth, usdc);
        uint256 amountIn = dollars * 1e6;
        uint256 amountOut = _pairQuote("uniswap_v2_router", usdc, weth, amountIn);
        _give(usdc, pair, amountIn);
        (bool done,) = pair.call(
            abi.encodeWithSignature(
                "swap(uint256,uint256,address,bytes)",
                weth < usdc ? amountOut : 0,
                weth < usdc ? 0 : amountOut,
                makeAddr("trader"),
                ""
            )
        );
        assertTrue(done, "the trade that makes the spread");
    }

    /// Someone sells so much WETH on Uniswap V2, where it is then cheaper than elsewhere.
    function _sellWethOnUniswapV2(uint256 amountIn) internal {
        address pair = _pair(weth, usdc);
        uint256 amountOut = _pairQuote("uniswap_v2_router", weth, usdc, amountIn);
        _give(weth, pair, amountIn);
        (uint256 out0, uint256 out1) = weth < usdc ? (uint256(0), amountOut) : (amountOut, uint256(0));
        (bool done,) = pair.call(
            abi.encodeWithSignature("swap(uint256,uint256,address,bytes)", out0, out1, makeAddr("trader"), "")
        );
        assertTrue(done, "the sale");
    }

    /// The oracle answers with so many thousandths of what it last said of a token.
    function _movePrice(string memory symbol, uint256 thousandths) internal {
        address place = vm.parseJsonAddress(_names, string.concat(".aggregators.", symbol));
        address feed = vm.parseJsonAddress(_names, string.concat(".feeds.", symbol));
        (, bytes memory answer) = feed.staticcall(abi.encodeWithSignature("latestAnswer()"));
        int256 next = abi.decode(answer, (int256)) * int256(thousandths) / 1000;
        IPriceAggregator aggregator = IPriceAggregator(place);
        uint256 round = aggregator.latestRound() + 1;
        vm.prank(_account("oracle-0"));
        aggregator.submit(round, next);
    }

    // What the genuine contracts themselves say an amount gives

    function _pairQuote(string memory router, address tokenIn, address tokenOut, uint256 amountIn)
        internal
        view
        returns (uint256)
    {
        address[] memory path = new address[](2);
        (path[0], path[1]) = (tokenIn, tokenOut);
        return IPairRouter(_contract(router)).getAmountsOut(amountIn, path)[1];
    }

    function _poolQuote(address tokenIn, address tokenOut, uint24 fee, uint256 amountIn)
        internal
        returns (uint256 amountOut)
    {
        (amountOut,,,) = IPoolQuoter(_contract("uniswap_v3_quoter"))
            .quoteExactInputSingle(IPoolQuoter.Question(tokenIn, tokenOut, amountIn, fee, 0));
    }

    function _balancerQuote(bytes32 poolId, address tokenIn, address tokenOut, uint256 amountIn)
        internal
        returns (uint256)
    {
        return IBalancerQuestions(_contract("balancer_queries"))
            .querySwap(
                IBalancerQuestions.SingleSwap(poolId, 0, tokenIn, tokenOut, amountIn, ""),
                IBalancerQuestions.FundManagement(address(this), false, payable(address(this)), false)
            );
    }

    /// `tokenIn` and `tokenOut` as the pool's key names them: address 0 is ether.
    function _singletonQuote(address tokenIn, address tokenOut, uint24 fee, int24 spacing, uint256 amountIn)
        internal
        returns (uint256 amountOut)
    {
        bool zeroForOne = tokenIn < tokenOut;
        (address currency0, address currency1) = zeroForOne ? (tokenIn, tokenOut) : (tokenOut, tokenIn);
        (amountOut,) = ISingletonQuoter(_contract("uniswap_v4_quoter"))
            .quoteExactInputSingle(
                ISingletonQuoter.Question(
                    ISingletonQuoter.PoolKey(currency0, currency1, fee, spacing, address(0)),
                    zeroForOne,
                    uint128(amountIn),
                    ""
                )
            );
    }

    // What must hold after every execution

    function _assertExecutorIsEmpty() internal view {
        address[4] memory tokens = [weth, usdc, dai, wbtc];
        for (uint256 i = 0; i < tokens.length; ++i) {
            assertEq(IERC20(tokens[i]).balanceOf(address(executor)), 0, "P17: a balance is left");
            _assertNoAllowance(tokens[i], address(module));
            _assertNoAllowance(tokens[i], _contract("balancer_vault"));
            _assertNoAllowance(tokens[i], _contract("aave_pool"));
            _assertNoAllowance(tokens[i], _contract("morpho"));
            _assertNoAllowance(tokens[i], _contract("curve_stable_pool"));
            _assertNoAllowance(tokens[i], _contract("uniswap_v4_pool_manager"));
            _assertNoAllowance(tokens[i], alice);
        }
        assertEq(address(executor).balance, 0, "P17: ether is left");
    }

    function _assertNoAllowance(address token, address spender) private view {
        assertEq(IERC20(token).allowance(address(executor), spender), 0, "P17: an allowance is left");
    }

    /// The selling leg on Uniswap V2 and the buying leg elsewhere: what most tests run.
    function _twoHops() internal view returns (bytes memory) {
        return abi.encodePacked(Plans.uniswapV2(usdc), Plans.uniswapV3(weth, 500));
    }

    function _plan(Header memory header) internal view returns (bytes memory) {
        return Plans.pack(header, _twoHops());
    }
}
