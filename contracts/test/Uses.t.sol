// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ArbExecutor} from "../src/ArbExecutor.sol";
import {ExecutorBindings, IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {Order} from "../src/libraries/Statements.sol";
import {Plans} from "./base/Plans.sol";
import {IMorphoMarkets} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// @title A ledger that refuses every order, by what it was told
contract TellingLedger {
    error Opened(Order order, bytes signature, uint256 index, address hotKey, bytes32[] uses);

    function open(
        Order calldata order,
        bytes calldata signature,
        uint256 index,
        address hotKey,
        bytes32[] calldata uses
    ) external pure returns (bytes32) {
        revert Opened(order, signature, index, hotKey, uses);
    }
}

/// What an executor tells the ledger before an order's route: the order, and all that the route uses, by the names that
/// the brake and governance give it. That a route with these runs is shown by tests/contracts/test_orders.py.
contract UsesTest is WorldTest {
    uint8 private constant NETWORK = 0x10;
    uint64 private constant LLTV = 0.86e18;

    Order private order;
    bytes private signature;
    bytes32[] private uses;

    function setUp() public override {
        super.setUp();
        ExecutorBindings memory bindings = _bindings();
        bindings.module = address(this);
        bindings.ledger = address(new TellingLedger());
        executor = new ArbExecutor(bindings);
        order = Order({
            finder: makeAddr("finder"),
            executor: makeAddr("the leader's account"),
            targetBlock: uint64(block.number),
            finderBps: 6_000,
            minFinderWei: 7 ether,
            profitToken: weth,
            payTo: makeAddr("the finder's Safe"),
            primaryKey: keccak256("leg"),
            routeCommit: keccak256("route")
        });
        signature = abi.encodePacked(keccak256("r"), keccak256("s"), uint8(27));
    }

    function _packed(uint8 source, uint128 borrowed, bytes memory rest) private view returns (bytes memory) {
        bytes memory header = abi.encodePacked(NETWORK | source, uint40(block.number), borrowed, uint128(0), uint96(0));
        bytes memory people = abi.encodePacked(order.finder, order.executor, order.payTo);
        bytes memory terms =
            abi.encodePacked(order.finderBps, order.minFinderWei, order.primaryKey, order.routeCommit, uint32(3));
        return abi.encodePacked(header, people, terms, signature, rest);
    }

    /// The ledger is told the order, and what was collected in `uses`.
    function _tells(uint8 source, bytes memory rest) private {
        bytes memory plan = _packed(source, source == Plans.NOBODY ? 0 : 1 ether, rest);
        vm.expectRevert(abi.encodeWithSelector(TellingLedger.Opened.selector, order, signature, 3, alice, uses));
        executor.execute(alice, weth, source == Plans.NOBODY ? 1 ether : 0, 0, plan);
    }

    function _use(address subject) private {
        uses.push(bytes32(uint256(uint160(subject))));
    }

    function _use(address token, bytes32 pool, address venue) private {
        _use(token);
        uses.push(pool);
        _use(venue);
    }

    function _usePair(address token, address other, string memory factory) private {
        (, bytes memory found) =
            _contract(factory).staticcall(abi.encodeWithSignature("getPair(address,address)", token, other));
        _use(token, bytes32(found), _contract(factory));
    }

    function test_pairs() public {
        _use(address(0));
        _usePair(usdc, weth, "uniswap_v2_factory");
        _usePair(weth, usdc, "sushi_factory");
        _tells(Plans.NOBODY, abi.encodePacked(Plans.uniswapV2(usdc), Plans.sushi(weth)));
    }

    function test_uniswap_v3_and_balancer() public {
        _use(address(0));
        _use(usdc, bytes32(uint256(uint160(_pool(weth, usdc, 500)))), _contract("uniswap_v3_factory"));
        _use(weth, wethUsdcPoolId, _contract("balancer_vault"));
        _tells(Plans.NOBODY, abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.balancer(weth, wethUsdcPoolId)));
    }

    function test_uniswap_v4_with_a_token_and_with_ether() public {
        (address low, address high) = weth < usdc ? (weth, usdc) : (usdc, weth);
        _use(address(0));
        _use(usdc, keccak256(abi.encode(low, high, 3000, 60, address(0))), _contract("uniswap_v4_pool_manager"));
        bytes32 inEther = keccak256(abi.encode(address(0), usdc, 500, 10, address(0)));
        _use(weth, inEther, _contract("uniswap_v4_pool_manager"));
        bytes memory hops = abi.encodePacked(Plans.uniswapV4(usdc, 3000, 60), Plans.uniswapV4InEther(weth, 500, 10));
        _tells(Plans.NOBODY, hops);
    }

    function test_curves_kind() public {
        address pool = _contract("curve_stable_pool");
        _use(address(0));
        _use(usdc, bytes32(uint256(uint160(pool))), pool);
        _use(weth, bytes32(uint256(uint160(pool))), pool);
        _tells(Plans.NOBODY, abi.encodePacked(Plans.curve(usdc, pool, 0, 1), Plans.curveCrypto(weth, pool, 1, 0)));
    }

    function test_liquidations() public {
        (address aave, address morpho) = (_contract("aave_pool"), _contract("morpho"));
        IMorphoMarkets.MarketParams memory market = IMorphoMarkets.MarketParams(
            usdc, weth, _contract("morpho_oracle_WETH_USDC"), _contract("morpho_irm"), LLTV
        );
        _use(address(0));
        _use(usdc, bytes32(uint256(uint160(aave))), aave);
        _use(weth, keccak256(abi.encode(market)), morpho);
        bytes memory second = Plans.morphoLiquidation(weth, mallory, market.oracle, market.irm, LLTV, 1);
        _tells(Plans.NOBODY, abi.encodePacked(Plans.aaveLiquidation(usdc, mallory), second));
    }

    function test_every_lender() public {
        address[5] memory lenders = [
            _contract("balancer_vault"), _contract("aave_pool"), _pool(weth, usdc, 3000), _contract("morpho"), mallory
        ];
        bytes[5] memory named = [bytes(""), "", Plans.lendingPool(usdc, 3000), "", abi.encodePacked(mallory)];
        for (uint8 i = 0; i < 5; ++i) {
            delete uses;
            _use(lenders[i]);
            _usePair(usdc, weth, "uniswap_v2_factory");
            _usePair(weth, usdc, "sushi_factory");
            _tells(i + 1, abi.encodePacked(named[i], Plans.uniswapV2(usdc), Plans.sushi(weth)));
        }
    }

    function test_a_plan_that_ends_inside_its_order_or_before_its_hops_is_malformed(uint256 size) public {
        bytes memory whole = _packed(Plans.LISTED, 1 ether, abi.encodePacked(mallory, Plans.uniswapV2(usdc)));
        bytes memory cut = new bytes(bound(size, 50, whole.length - 1));
        vm.assume(cut.length != whole.length - 25); // ends where the hops begin
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = whole[i];
        }
        vm.expectRevert(IArbExecutor.MalformedPlan.selector);
        executor.execute(alice, weth, 0, 0, cut);
    }
}
