// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind} from "../../src/interfaces/IVaultModule.sol";
import {Header, Plans} from "../base/Plans.sol";
import {IMorphoMarkets} from "../base/Protocols.sol";
import {WorldTest} from "../base/WorldTest.sol";

/// @title Executions over every venue and lender, at random, in a market that moves, and what was left behind
/// @dev An execution that is rightly refused is counted and ends there; nothing else is caught.
contract ExecutorHandler is WorldTest {
    uint64 private constant LLTV = 0.86e18;
    uint256 private constant SMALL_CAP = 0.003 ether;

    address private stable;
    address private usdt;
    /// What strangers sent to the executor, by token.
    mapping(address token => uint256) public gifts;
    uint256 public executions;
    uint256 public liquidations;
    uint256 public refusals;
    /// P18: how often less than the plan's minimum came in.
    uint256 public shortfalls;
    /// P19: how often a builder got more than the cap, or something out of no WETH profit.
    uint256 public overbids;

    function setUp() public override {
        super.setUp();
        (stable, usdt) = (_contract("curve_stable_pool"), _token("USDT"));
        vm.prank(bob);
        module.tighten(address(safe), Change(ChangeKind.BidCap, address(0), SMALL_CAP));
        _give(weth, address(this), 40 ether);
        IERC20(weth).transfer(_contract("morpho"), 40 ether); // it lends whatever it holds
    }

    modifier nextBlock() {
        vm.roll(block.number + 1);
        skip(12);
        _;
    }

    // The market

    function moveMarket(uint256 size, bool buy) external nextBlock {
        if (buy) _makeWethDearOnUniswapV2(bound(size, 50_000, 600_000));
        else _sellWethOnUniswapV2(bound(size, 10 ether, 150 ether));
    }

    function moveFeed(uint256 thousandths) external nextBlock {
        _movePrice("WETH", bound(thousandths, 975, 1_010));
    }

    // The hot key

    function execute(uint256 drawn, uint256 borrowed, uint256 source, uint256 minimum, uint256 bid, uint256 route)
        external
        nextBlock
    {
        Header memory header = Plans.loan(uint8(bound(source, 0, 4)), bound(borrowed, 1, 5 ether));
        if (header.source == Plans.NOBODY) header.borrowed = 0;
        header.minimumProfit = uint128(bound(minimum, 0, 0.02 ether));
        header.bid = uint96(bound(bid, 0, 2 * SMALL_CAP));
        bytes memory pool = header.source == Plans.POOL ? Plans.lendingPool(dai, 3000) : bytes("");
        bytes memory plan = Plans.pack(header, bytes.concat(pool, _route(route)));
        _attempt(weth, bound(drawn, 1e12, 5 ether), header, plan);
    }

    /// From Uniswap V2 through every other venue and back, or the other way round, whichever the market favours.
    function _route(uint256 route) private view returns (bytes memory) {
        if (_pairQuote("uniswap_v2_router", weth, usdc, 1 ether) < 3_200e6) {
            bytes[4] memory first = [
                Plans.uniswapV3(usdc, 500),
                Plans.uniswapV4(usdc, 3000, 60),
                Plans.uniswapV4InEther(usdc, 500, 10),
                Plans.balancer(usdc, wethUsdcPoolId)
            ];
            return abi.encodePacked(first[route % 4], Plans.uniswapV2(weth));
        }
        bytes[7] memory second = [
            Plans.sushi(weth),
            Plans.uniswapV3(weth, 3000),
            Plans.balancer(weth, wethUsdcPoolId),
            Plans.uniswapV4(weth, 3000, 60),
            Plans.uniswapV4InEther(weth, 500, 10),
            abi.encodePacked(Plans.curve(dai, stable, 1, 0), Plans.sushi(weth)),
            abi.encodePacked(Plans.uniswapV3(weth, 500), Plans.uniswapV2(usdc), Plans.sushi(weth)) // the first pair again
        ];
        return abi.encodePacked(Plans.uniswapV2(usdc), second[route % 7]);
    }

    /// Liquidates a borrower with borrowed dollars, more or fewer than it takes.
    function liquidate(uint256 amount, uint256 part, uint256 who, bool onAave) external nextBlock {
        Header memory header = Plans.loan(Plans.MORPHO, bound(amount, 1e6, 300_000e6));
        bytes memory hop;
        if (onAave) {
            hop = Plans.aaveLiquidation(weth, _account(who % 2 == 0 ? "borrower-0" : "borrower-2"));
        } else {
            hop = _morphoHop(_account(who % 2 == 0 ? "morpho-borrower-0" : "morpho-borrower-1"), part);
        }
        uint256 before = executions;
        _attempt(usdc, 0, header, Plans.pack(header, abi.encodePacked(hop, Plans.uniswapV3(usdc, 500))));
        liquidations += executions - before;
    }

    function _morphoHop(address borrower, uint256 part) private view returns (bytes memory) {
        (address oracle, address irm) = (_contract("morpho_oracle_WETH_USDC"), _contract("morpho_irm"));
        bytes32 id = keccak256(abi.encode(IMorphoMarkets.MarketParams(usdc, weth, oracle, irm, LLTV)));
        (, uint128 shares,) = IMorphoMarkets(_contract("morpho")).position(id, borrower);
        return Plans.morphoLiquidation(weth, borrower, oracle, irm, LLTV, uint128(bound(part, 0, shares / 2)));
    }

    function _attempt(address token, uint256 drawn, Header memory header, bytes memory plan) private {
        uint256 safeBefore = IERC20(token).balanceOf(address(safe));
        uint256 builderBefore = builder.balance;
        uint256 cap = module.vaultOf(address(safe)).bidCap;
        vm.prank(alice);
        try module.execute(address(safe), token, drawn, plan) {
            ++executions;
            if (IERC20(token).balanceOf(address(safe)) < safeBefore + header.minimumProfit) ++shortfalls;
            uint256 paid = builder.balance - builderBefore;
            if (paid > cap || (paid != 0 && token != weth)) ++overbids;
        } catch {
            ++refusals;
        }
    }

    // Strangers

    function give(uint256 amount, uint256 what) external {
        address[3] memory tokens = [weth, usdc, dai];
        address token = tokens[what % 3];
        amount = bound(amount, 1, 1_000e6);
        _give(token, address(executor), amount);
        gifts[token] += amount;
    }

    // What the invariants look at

    function assertNothingIsLeft() external view {
        address[5] memory tokens = [weth, usdc, dai, wbtc, usdt];
        address[6] memory spenders = [
            address(module),
            _contract("balancer_vault"),
            _contract("aave_pool"),
            _contract("morpho"),
            stable,
            _contract("uniswap_v4_pool_manager")
        ];
        for (uint256 i = 0; i < tokens.length; ++i) {
            assertEq(IERC20(tokens[i]).balanceOf(address(executor)), gifts[tokens[i]], "P17: the executor's balance");
            for (uint256 j = 0; j < spenders.length; ++j) {
                uint256 allowance = IERC20(tokens[i]).allowance(address(executor), spenders[j]);
                assertEq(allowance, 0, "P17: the executor's allowance");
            }
        }
        assertEq(address(executor).balance, 0, "P17: the executor's ether");
    }
}
