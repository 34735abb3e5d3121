// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule, Vault} from "../../src/interfaces/IVaultModule.sol";
import {VaultModule} from "../../src/VaultModule.sol";
import {Header, Plans} from "../base/Plans.sol";
import {WorldTest} from "../base/WorldTest.sol";
import {KeepingExecutor, StrayingExecutor} from "../malicious/Executors.sol";

/// @title Everything that anybody does around a vault, at random, and what came of it
/// @dev An action that a contract rightly refuses is counted and ends there; one that must not fail is not caught.
contract VaultHandler is WorldTest {
    /// The gas limit of every execution.
    uint256 private constant GAS = 3_000_000;
    uint256 private constant BASE_FEE = 10 gwei;
    uint96 private constant DEPOSIT_CAP = 3 ether;
    address private immutable exchange = makeAddr("the Safe's account on an exchange");

    uint256 public profits;
    uint256 public withdrawn;
    uint256 public gifts;
    uint256 public executions;
    uint256 public refusals;
    /// P14: how often the Safe did not get what the execution said, on top of what it had.
    uint256 public losses;
    /// P18: how often less than the plan's minimum came in.
    uint256 public shortfalls;
    /// P19: how often a builder got more than the cap, by payment and by priority fee at the gas limit.
    uint256 public overbids;
    /// The priority fee at the gas limit that executions offer, in basis points of the vault's cap.
    uint256 public offeredBps;
    /// P14, P16: how often someone who may not executed, drew or changed something.
    uint256 public intrusions;
    uint256 public deposits;
    uint256 public deposited;
    /// P16: how often a deposit went elsewhere than to the pinned account, moved nothing, or came to more than a day's cap.
    uint256 public strayDeposits;
    mapping(uint256 day => uint256) private _depositedOn;

    function setUp() public virtual override {
        super.setUp();
        _loosen(_depositChange(exchange, weth, DEPOSIT_CAP));
    }

    modifier nextBlock() {
        vm.roll(block.number + 1);
        skip(12);
        _;
    }

    // The market

    function trade(uint256 dollars, bool buyWeth) external nextBlock {
        if (buyWeth) {
            _makeWethDearOnUniswapV2(bound(dollars, 1_000, 500_000));
        } else {
            _makeWethCheapOnUniswapV2(bound(dollars, 1e18, 100 ether));
        }
    }

    function _makeWethCheapOnUniswapV2(uint256 amountIn) private {
        address pair = _pair(weth, usdc);
        uint256 amountOut = _pairQuote("uniswap_v2_router", weth, usdc, amountIn);
        _give(weth, pair, amountIn);
        (uint256 out0, uint256 out1) = weth < usdc ? (uint256(0), amountOut) : (amountOut, uint256(0));
        bytes memory swap =
            abi.encodeWithSignature("swap(uint256,uint256,address,bytes)", out0, out1, makeAddr("trader"), "");
        (bool done,) = pair.call(swap);
        assertTrue(done, "the trade");
    }

    /// From now on executions offer no priority fee, or one that comes to less than the cap, or to more.
    function offer(uint256 bps) external {
        offeredBps = bps % 2 == 0 ? 0 : bound(bps, 1, 12_000);
    }

    // The hot key

    function execute(uint256 drawn, uint256 borrowed, uint256 source, uint256 minimum, uint256 bid, uint256 route)
        external
        nextBlock
    {
        Header memory header = Plans.loan(uint8(bound(source, 0, 3)), bound(borrowed, 0, 5 ether));
        if (header.source == Plans.NOBODY) header.borrowed = 0;
        header.minimumProfit = uint128(bound(minimum, 0, 0.001 ether));
        header.bid = uint96(bound(bid, 0, 0.01 ether));
        drawn = bound(drawn, 0, 5 ether);
        bytes memory pool = header.source == Plans.POOL ? Plans.lendingPool(dai, 3000) : bytes("");
        _attempt(alice, drawn, header, Plans.pack(header, bytes.concat(pool, _route(route))));
    }

    /// As `execute`, on what is drawn alone, at the market's best and asking for nothing: most of these land.
    function executeModestly(uint256 drawn, uint256 route) external nextBlock {
        Header memory header = Plans.own();
        _attempt(alice, bound(drawn, 1e12, 1 ether), header, Plans.pack(header, _route(route % 7)));
    }

    function _route(uint256 route) private view returns (bytes memory) {
        bool isDearOnUniswapV2 = _pairQuote("uniswap_v2_router", weth, usdc, 1 ether) > 3_200e6;
        if (route % 8 == 7) isDearOnUniswapV2 = !isDearOnUniswapV2; // at a loss
        if (!isDearOnUniswapV2) return abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth));
        bytes[4] memory elsewhere = [
            Plans.sushi(weth),
            Plans.uniswapV3(weth, 500),
            Plans.uniswapV3(weth, 3000),
            Plans.balancer(weth, wethUsdcPoolId)
        ];
        return abi.encodePacked(Plans.uniswapV2(usdc), elsewhere[route % 4]);
    }

    function _attempt(address by, uint256 drawn, Header memory header, bytes memory plan) private {
        uint256 safeBefore = IERC20(weth).balanceOf(address(safe));
        uint256 builderBefore = builder.balance;
        Vault memory vault = module.vaultOf(address(safe));
        uint256 tip = vault.bidCap * offeredBps / 10_000 / GAS;
        vm.fee(BASE_FEE);
        vm.txGasPrice(BASE_FEE + tip);
        vm.prank(by);
        try module.execute{gas: GAS}(address(safe), weth, drawn, plan) returns (uint256 profit) {
            ++executions;
            profits += profit;
            if (by != vault.operator || vault.paused) ++intrusions;
            uint256 safeAfter = IERC20(weth).balanceOf(address(safe));
            if (safeAfter != safeBefore + profit) ++losses;
            if (safeAfter < safeBefore + header.minimumProfit) ++shortfalls;
            if (builder.balance - builderBefore + tip * GAS > vault.bidCap) ++overbids;
        } catch {
            ++refusals;
        }
    }

    /// The Safe has pinned an executor of Mallory's, which keeps, claims and allows as it likes, and has what is drawn sent
    /// wherever it likes.
    function executeGreedily(uint256 drawn, uint256 claimed, uint256 allowed, uint256 where) external nextBlock {
        drawn = bound(drawn, 1, 1 ether);
        claimed = bound(claimed, 0, 2 * drawn);
        allowed = bound(allowed, 0, 2 * drawn);
        address[3] memory places = [mallory, bob, _pair(weth, dai)];
        KeepingExecutor greedy = where % 4 == 3
            ? new KeepingExecutor(claimed, allowed)
            : new StrayingExecutor(claimed, allowed, places[where % 4]);
        if (where % 2 == 0) _give(weth, address(greedy), claimed); // it can pay
        if (module.vaultOf(address(safe)).paused) return;
        _loosen(Change(ChangeKind.Executor, address(greedy), 0));
        _attempt(alice, drawn, Plans.own(), "");
        _loosen(Change(ChangeKind.Executor, address(executor), 0));
    }

    /// To the pinned account or elsewhere, of a token that the account is for or another, of nothing too.
    function deposit(uint256 amount, uint256 where, uint256 what) external {
        address[4] memory places = [exchange, exchange, mallory, address(executor)];
        address to = places[where % 4];
        address deposited_ = what % 4 == 0 ? usdc : weth;
        amount = what % 3 == 0 ? 0 : bound(amount, 1, 2 ether);
        bool paused = module.vaultOf(address(safe)).paused;
        vm.prank(alice);
        try module.deposit(address(safe), deposited_, to, amount) {
            ++deposits;
            deposited += amount;
            uint256 sent = _depositedOn[block.timestamp / 1 days] += amount;
            if (to != exchange || deposited_ != weth || amount == 0 || sent > DEPOSIT_CAP) ++strayDeposits;
            if (paused) ++intrusions;
        } catch {
            ++refusals;
        }
    }

    // Mallory and other strangers

    function intrude(uint256 drawn, uint256 who) external nextBlock {
        address[4] memory others = [mallory, bob, address(executor), address(this)];
        Header memory header = Plans.own();
        _attempt(others[who % 4], bound(drawn, 0, 40 ether), header, _plan(header));
    }

    function giveToTheExecutor(uint256 amount) external {
        amount = bound(amount, 1, 10 ether);
        _give(weth, address(executor), amount);
        gifts += amount;
    }

    function loosenAlone(uint256 who, uint256 value) external {
        address[4] memory singles = [bob, carol, alice, mallory];
        Change memory change = Change(ChangeKind.BidCap, address(0), bound(value, BID_CAP, type(uint88).max));
        vm.prank(singles[who % 4]);
        try module.tighten(address(safe), change) {
            ++intrusions;
        } catch {
            ++refusals;
        }
    }

    // Guardians and the Safe

    function tighten(uint256 who, uint256 cap) external {
        address[3] memory guardians = [bob, carol, dave];
        bool pause = who % 8 == 0;
        Change memory change = pause
            ? Change(ChangeKind.Pause, address(0), 1)
            : Change(ChangeKind.BidCap, address(0), bound(cap, 0.005 ether, BID_CAP));
        if (!pause && change.value >= module.vaultOf(address(safe)).bidCap) return;
        vm.prank(guardians[who % 3]);
        module.tighten(address(safe), change);
    }

    function loosen(uint256 what) external {
        if (module.vaultOf(address(safe)).paused) what = 0;
        Change[3] memory changes = [
            Change(ChangeKind.Pause, address(0), 0),
            Change(ChangeKind.BidCap, address(0), BID_CAP),
            Change(ChangeKind.Token, weth, MAX_DRAW)
        ];
        _loosen(changes[what % 3]);
    }

    /// P20: never caught, so the run fails if the owners cannot withdraw.
    function withdraw(uint256 amount) external {
        uint256 held = IERC20(weth).balanceOf(address(safe));
        if (held == 0) return;
        amount = bound(amount, 1, held / 20 + 1);
        _bySafe(weth, abi.encodeCall(IERC20.transfer, (bob, amount)));
        withdrawn += amount;
        assertEq(IERC20(weth).balanceOf(address(safe)), held - amount, "P20: the withdrawal");
    }

    // What the invariants look at

    function expectedBalance() external view returns (uint256) {
        return PRINCIPAL + profits - withdrawn - deposited;
    }

    function safeBalance() external view returns (uint256) {
        return IERC20(weth).balanceOf(address(safe));
    }

    /// Owners, threshold, modules, and the slots of singleton, guard and fallback handler.
    function safeFingerprint() external view returns (bytes32) {
        (address[] memory modules,) = safe.getModulesPaginated(address(1), 10);
        return keccak256(
            abi.encode(
                safe.getOwners(),
                safe.getThreshold(),
                modules,
                safe.getStorageAt(0, 1),
                safe.getStorageAt(uint256(keccak256("guard_manager.guard.address")), 1),
                safe.getStorageAt(uint256(keccak256("fallback_manager.handler.address")), 1)
            )
        );
    }

    function assertNothingIsLeft() external view {
        address[4] memory tokens = [weth, usdc, dai, wbtc];
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 given = tokens[i] == weth ? gifts : 0;
            assertEq(IERC20(tokens[i]).balanceOf(address(executor)), given, "P17: the executor's balance");
            assertEq(IERC20(tokens[i]).balanceOf(address(module)), 0, "P16: the module's balance");
            address[3] memory spenders = [address(module), _contract("balancer_vault"), _contract("aave_pool")];
            for (uint256 j = 0; j < spenders.length; ++j) {
                uint256 allowance = IERC20(tokens[i]).allowance(address(executor), spenders[j]);
                assertEq(allowance, 0, "P17: the executor's allowance");
            }
        }
        assertEq(address(executor).balance, 0, "P17: the executor's ether");
        assertEq(address(module).balance, 0, "P16: the module's ether");
    }
}
