// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ArbExecutor} from "../../src/ArbExecutor.sol";
import {RewardStream} from "../../src/RewardStream.sol";
import {ExecutorBindings} from "../../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind, IVaultModule, Market} from "../../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "../base/InventoryTest.sol";
import {Header, Plans} from "../base/Plans.sol";
import {PoolFiller} from "../base/PoolFiller.sol";
import {IFeedProxy, IPair, IPairFactory, IPool, IPoolFactory, IPriceOracle} from "../base/Protocols.sol";
import {SettableFeed} from "../malicious/Feeds.sol";
import {HookedToken} from "../malicious/HookedToken.sol";
import {LazyPool} from "../malicious/LazyPool.sol";
import {Skimmer} from "../malicious/Pairs.sol";

/// Mallory has the hot key (alice's), the libp2p key, one owner's key (bob's), tokens, pools, a builder and money of her
/// own, and wants what is in the Safe. Each test is one way to get it; that it would be one without its guard is shown
/// by the patches beside this file (`scripts/theft`). In the message of each assertion is its number.
contract TheftTest is InventoryTest {
    using SafeERC20 for IERC20;

    HookedToken private hook;
    address private immutable exchange = makeAddr("the Safe's account on an exchange");
    uint256 private wethBefore;
    uint256 private usdcBefore;

    function setUp() public override {
        super.setUp();
        hook = new HookedToken();
        _loosen(_depositChange(exchange, weth, 1 ether));
        _answer(_marketDollars());
        _give(dai, address(safe), 1_000 ether); // the Safe's, and pinned by nobody
        (wethBefore, usdcBefore) = (IERC20(weth).balanceOf(address(safe)), IERC20(usdc).balanceOf(address(safe)));
    }

    // Her means

    /// A pair of hers on a genuine factory, with so much in it.
    function _pairOfHers(string memory factory, address token, uint256 amount, uint256 hooks) private {
        address pair = IPairFactory(_contract(factory)).createPair(token, address(hook));
        _give(token, pair, amount);
        hook.mint(pair, hooks);
        IPair(pair).mint(mallory);
    }

    /// WETH in, next to nothing out, over two pairs of hers.
    function _drain() private returns (bytes memory) {
        _pairOfHers("uniswap_v2_factory", weth, 100 ether, 100 ether);
        _pairOfHers("sushi_factory", weth, 0.001 ether, 100 ether);
        return abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(weth));
    }

    /// WETH in, dollars out, at so many basis points of what they are worth.
    function _exchangeOfHers(uint256 bps) private returns (bytes memory) {
        _pairOfHers("uniswap_v2_factory", weth, 1_000_000 ether, 1_000_000 ether);
        uint256 dollars = _worth(1_000_000 ether, _marketDollars()) * bps / 10_000;
        _pairOfHers("sushi_factory", usdc, dollars, 1_000_000 ether);
        return abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(usdc));
    }

    /// A stream of the network's that has promised the Safe so much; in the registry's place stands one staker's answer.
    function _streamThatOwesTheSafe(uint256 amount) private returns (RewardStream stream) {
        IVotes registry = IVotes(makeAddr("the registry"));
        vm.mockCall(address(registry), abi.encodeWithSelector(IVotes.getPastTotalSupply.selector), abi.encode(1 ether));
        vm.mockCall(address(registry), abi.encodeWithSelector(IVotes.getPastVotes.selector), abi.encode(1 ether));
        stream = new RewardStream(weth, registry);
        _give(weth, address(stream), 7 * amount); // a seventh a day
        stream.roll();
        vm.prank(address(stream));
        IERC20(weth).safeTransfer(mallory, 6 * amount); // so that what is left is what it owes
    }

    function _as(address who, bytes memory call) private returns (bool done) {
        vm.prank(who);
        (done,) = address(module).call(call);
    }

    function _asHotKey(address token, uint256 drawn, bytes memory plan) private returns (bool) {
        return _as(alice, abi.encodeCall(IVaultModule.execute, (address(safe), token, drawn, plan)));
    }

    function _sell(uint256 amount, bytes memory plan) private returns (bool) {
        return _as(alice, abi.encodeCall(IVaultModule.trade, (address(safe), weth, amount, usdc, plan)));
    }

    function _tighten(address who, Change memory change) private returns (bool) {
        return _as(who, abi.encodeCall(IVaultModule.tighten, (address(safe), change)));
    }

    function _principalIsWhole(string memory number) private view {
        assertGe(IERC20(weth).balanceOf(address(safe)), wethBefore, string.concat(number, ": WETH was taken"));
        assertGe(IERC20(usdc).balanceOf(address(safe)), usdcBefore, string.concat(number, ": USDC was taken"));
    }

    // Atomic: the principal

    function test_T01_draws_into_pools_of_her_own() public {
        _asHotKey(weth, 50 ether, Plans.pack(Plans.own(), _drain()));
        _principalIsWhole("T01");
    }

    function test_T02_moves_a_genuine_pool_and_lets_the_vault_trade_against_her() public {
        _makeWethDearOnUniswapV2(500_000);
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV2(weth));
        _asHotKey(weth, 50 ether, Plans.pack(Plans.own(), hops));
        _principalIsWhole("T02");
    }

    function test_T03_has_the_vaults_own_rewards_paid_in_the_midst_of_a_draw() public {
        RewardStream stream = _streamThatOwesTheSafe(20 ether);
        bytes memory hops = _drain();
        hook.onNextTransfer(address(stream), abi.encodeCall(RewardStream.claim, (address(safe), 1)));
        _asHotKey(weth, 10 ether, Plans.pack(Plans.own(), hops)); // 10 lost, 20 come in: the Safe would seem richer
        uint256 paid = 20 ether - IERC20(weth).balanceOf(address(stream));
        assertGe(IERC20(weth).balanceOf(address(safe)), wethBefore + paid, "T03: what was claimed covered for a draw");
    }

    function test_T04_pays_her_builder_out_of_the_principal() public {
        Header memory header = Plans.own();
        header.bid = 0.5 ether;
        bytes memory hops = abi.encodePacked(Plans.uniswapV3(usdc, 500), Plans.uniswapV3(weth, 3000));
        _asHotKey(weth, 1 ether, Plans.pack(header, hops));
        _principalIsWhole("T04");
    }

    function test_T05_pays_her_builder_more_than_the_cap_out_of_a_profit() public {
        _makeWethDearOnUniswapV2(900_000);
        Header memory header = Plans.own();
        header.bid = uint96(BID_CAP) + 1;
        _asHotKey(weth, 30 ether, Plans.pack(header, _twoHops()));
        assertLe(builder.balance, BID_CAP, "T05: the builder got more than the cap");
    }

    function test_T06_burns_a_priority_fee_above_the_cap() public {
        _makeWethDearOnUniswapV2(100_000);
        bytes memory plan = _plan(Plans.own());
        vm.fee(10 gwei);
        vm.txGasPrice(1_010 gwei);
        vm.prank(alice);
        (bool done,) = address(module).call{gas: 1_500_000}(
            abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, plan))
        );
        assertFalse(done, "T06: it was spent");
    }

    // What she may touch

    function test_T07_executes_with_the_libp2p_key() public {
        _makeWethDearOnUniswapV2(100_000);
        bytes memory plan = _plan(Plans.own());
        address libp2p = makeAddr("the account of the libp2p key");
        bytes memory call = abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, plan));
        assertFalse(_as(libp2p, call), "T07: another key executed");
    }

    function test_T08_deposits_with_herself() public {
        _as(alice, abi.encodeCall(IVaultModule.deposit, (address(safe), weth, mallory, 10 ether)));
        _principalIsWhole("T08");
    }

    function test_T09_deposits_more_than_the_days_cap() public {
        _as(alice, abi.encodeCall(IVaultModule.deposit, (address(safe), weth, exchange, 1 ether)));
        _as(alice, abi.encodeCall(IVaultModule.deposit, (address(safe), weth, exchange, 1 ether)));
        assertLe(IERC20(weth).balanceOf(exchange), 1 ether, "T09: more than the cap was sent away");
    }

    function test_T10_draws_more_than_the_maximum() public {
        _makeWethDearOnUniswapV2(900_000);
        assertFalse(_asHotKey(weth, MAX_DRAW + 1, _plan(Plans.own())), "T10: more was drawn");
    }

    function test_T11_draws_a_token_that_nobody_pinned() public {
        _pairOfHers("uniswap_v2_factory", dai, 1_000_000 ether, 1_000_000 ether);
        _pairOfHers("sushi_factory", dai, 1_100_000 ether, 1_000_000 ether); // she pays for it to be worth while
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(dai));
        _asHotKey(dai, 1_000 ether, Plans.pack(Plans.own(), hops));
        assertEq(IERC20(dai).balanceOf(address(safe)), 1_000 ether, "T11: another token was drawn");
    }

    // The settings

    function test_T12_raises_a_cap_with_one_owners_key() public {
        _tighten(bob, Change(ChangeKind.BidCap, address(0), 100 ether));
        assertEq(module.vaultOf(address(safe)).bidCap, BID_CAP, "T12: the cap was raised");
    }

    function test_T13_pins_an_executor_of_her_own_with_one_owners_key() public {
        _tighten(bob, Change(ChangeKind.Executor, address(stingy), 0));
        assertEq(address(module.vaultOf(address(safe)).executor), address(executor), "T13: another executor was pinned");
    }

    function test_T14_names_a_price_feed_of_her_own_with_the_hot_key() public {
        SettableFeed hers = new SettableFeed(8);
        _tighten(alice, _feedChange(weth, address(hers), MAX_AGE));
        Market memory market = module.marketOf(address(safe), weth);
        assertEq(address(market.feed), feed, "T14: another feed was named");
    }

    function test_T15_adds_an_account_on_an_exchange_with_one_owners_key() public {
        _tighten(bob, _depositChange(mallory, weth, 100 ether));
        (uint96 cap,) = module.depositOf(address(safe), mallory, weth);
        assertEq(cap, 0, "T15: an account was added");
    }

    function test_T16_enacts_what_the_safe_proposed_before_it_is_due() public {
        Change memory more = Change(ChangeKind.Token, weth, 100 ether);
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (more)));
        skip(48 hours - 1);
        _as(mallory, abi.encodeCall(IVaultModule.enact, (address(safe), more)));
        (, uint128 maxDraw) = module.limitOf(address(safe), weth);
        assertEq(maxDraw, MAX_DRAW, "T16: it was enacted early");
    }

    function test_T17_enacts_what_an_owner_has_voided() public {
        Change memory more = Change(ChangeKind.Token, weth, 100 ether);
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (more)));
        _tighten(carol, Change(ChangeKind.BidCap, address(0), 1));
        skip(48 hours);
        _as(mallory, abi.encodeCall(IVaultModule.enact, (address(safe), more)));
        (, uint128 maxDraw) = module.limitOf(address(safe), weth);
        assertEq(maxDraw, MAX_DRAW, "T17: it was enacted although it was void");
    }

    function test_T18_changes_a_vault_without_any_key_of_it() public {
        _tighten(mallory, Change(ChangeKind.Pause, address(0), 1));
        assertFalse(module.vaultOf(address(safe)).paused, "T18: a stranger changed it");
    }

    // Inventory: never more than the printed bound

    function _lostDollars() private view returns (uint256) {
        uint256 dollarsE8 = _marketDollars();
        uint256 before = usdcBefore + _worth(wethBefore, dollarsE8);
        uint256 left = IERC20(usdc).balanceOf(address(safe)) + _worth(IERC20(weth).balanceOf(address(safe)), dollarsE8);
        return before > left ? before - left : 0;
    }

    /// So that it is not what the Safe may hold of dollars that stops her.
    function _makeRoomForDollars() private {
        _bySafe(usdc, abi.encodeCall(IERC20.transfer, (carol, 280_000e6)));
    }

    function test_T19_sells_for_less_than_a_trade_may_lose() public {
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(9_600)); // less than may be lost in all
        _sell(10 ether, plan);
        uint256 band = _worth(10 ether, _marketDollars()) * LOSS_BAND / 10_000;
        assertLe(_lostDollars(), band, "T19: a trade lost more than its band");
    }

    function test_T20_sells_a_little_too_cheap_as_often_as_she_can() public {
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(9_930));
        uint256 trades = 0;
        for (uint256 i = 0; i < 12; ++i) {
            if (_sell(7 ether, plan)) ++trades;
        }
        assertGt(trades, 2, "some of them are within her limits");
        emit log_named_decimal_uint("lost in a burst, dollars", _lostDollars(), 6);
        // the price stands still, and what both prices are off is the pool's half a basis point
        uint256 bound = uint256(MAX_LOSS) + uint256(MAX_TURNOVER) / 10_000;
        emit log_named_decimal_uint("the printed bound, dollars", bound, 6);
        assertLe(_lostDollars(), bound, "T20: losses beyond the bound");
    }

    function test_T21_sells_at_yesterdays_price() public {
        skip(2 hours);
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(10_000));
        assertFalse(_sell(1 ether, plan), "T21: the feed was stale");
    }

    function test_T22_sells_while_the_feed_lies() public {
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(9_000));
        _answer(_marketDollars() * 9 / 10); // its oracle is hers too
        _sell(20 ether, plan); // a tenth too cheap, and the feed says that it is not
        assertLe(_lostDollars(), MAX_LOSS, "T22: sold at a lie");
    }

    function test_T23_churns_to_feed_her_own_pool() public {
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(10_065)); // no loss: the market's fee is hers
        _give(weth, address(safe), 100 ether);
        _makeRoomForDollars();
        for (uint256 i = 0; i < 16; ++i) {
            _sell(10 ether, plan);
        }
        uint256 sold = wethBefore + 100 ether - IERC20(weth).balanceOf(address(safe));
        assertLe(_worth(sold, _marketDollars()), MAX_TURNOVER, "T23: more was turned over than may be");
    }

    function test_T24_sells_what_the_owners_want_to_be_held() public {
        bytes memory plan = Plans.pack(Plans.own(), _exchangeOfHers(10_065));
        _makeRoomForDollars();
        for (uint256 i = 0; i < 3; ++i) {
            _sell(32 ether, plan);
        }
        assertGe(IERC20(weth).balanceOf(address(safe)), LEAST_WETH, "T24: less is held than must be");
    }

    /// The owners let WBTC be bought too: by its genuine feed, and a genuine pool that stands where the feed does.
    function _openMarketOfWbtc() private returns (uint256 dollarsE8) {
        address wbtcFeed = IPriceOracle(_contract("aave_oracle")).getSourceOfAsset(wbtc);
        dollarsE8 = uint256(IFeedProxy(wbtcFeed).latestAnswer());
        address fresh = IPoolFactory(_contract("uniswap_v3_factory")).createPool(wbtc, usdc, 3000);
        (uint256 above, uint256 below) = wbtc < usdc ? (dollarsE8, uint256(1e10)) : (uint256(1e10), dollarsE8);
        IPool(fresh).initialize(uint160(Math.sqrt((above << 192) / below)));
        Change[4] memory changes = [
            Change(ChangeKind.Token, wbtc, 0),
            _feedChange(wbtc, wbtcFeed, MAX_AGE),
            Change(ChangeKind.Pool, wbtc, uint160(fresh)),
            Change(ChangeKind.HeldAtMost, wbtc, 1_000e8)
        ];
        for (uint256 i = 1; i < changes.length; ++i) {
            _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (changes[i])));
        }
        _loosen(changes[0]);
        for (uint256 i = 1; i < changes.length; ++i) {
            module.enact(address(safe), changes[i]);
        }
        _answer(_marketDollars());
        _answerOf(wbtcFeed, dollarsE8);
    }

    /// Feeds and pools agree, and are off in her favour by a hundredth: WETH counts too little, WBTC too much.
    function test_T35_sells_what_counts_too_little_for_what_counts_too_much() public {
        uint256 bitcoinE8 = _openMarketOfWbtc();
        uint256 etherE8 = _marketDollars();
        _give(weth, address(safe), 100 ether);
        uint256 held = IERC20(weth).balanceOf(address(safe));
        _pairOfHers("uniswap_v2_factory", weth, 1_000_000 ether, 1_000_000 ether);
        uint256 bitcoins = 1_000_000e8 * etherE8 / bitcoinE8 * 10_025 / 10_000; // after the pairs' fees a little is lost
        _pairOfHers("sushi_factory", wbtc, bitcoins, 1_000_000 ether);
        bytes memory plan = Plans.pack(Plans.own(), abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(wbtc)));
        for (uint256 i = 0; i < 17; ++i) {
            _as(alice, abi.encodeCall(IVaultModule.trade, (address(safe), weth, 10 ether, wbtc, plan)));
        }
        uint256 given = _worth(held - IERC20(weth).balanceOf(address(safe)), etherE8) * 100 / 99;
        uint256 got = IERC20(wbtc).balanceOf(address(safe)) * bitcoinE8 / 1e10 * 100 / 101;
        emit log_named_decimal_uint("lost in a burst, dollars", given - got, 6);
        uint256 bound = uint256(MAX_LOSS) + (uint256(MAX_TURNOVER) * 200 + 9_998) / 9_999; // 2e / (1 - e^2)
        emit log_named_decimal_uint("the printed bound, dollars", bound, 6);
        assertGt(given - got, uint256(MAX_LOSS) + uint256(MAX_TURNOVER) / 99, "more than one price is off by");
        assertLe(given - got, bound, "T35: losses beyond the bound");
    }

    // Callbacks and allowances

    function test_T25_has_an_allowance_left_to_a_pool_and_comes_back_for_what_the_executor_gets() public {
        LazyPool lazy = new LazyPool(usdc);
        ExecutorBindings memory bindings = _bindings();
        bindings.curvePools[0] = address(lazy);
        ArbExecutor hers = new ArbExecutor(bindings); // as if governance had listed a pool that is not what it seems
        _loosen(Change(ChangeKind.Executor, address(hers), 0));
        _give(usdc, address(lazy), 10_000_000e6);
        (wethBefore, usdcBefore) = (IERC20(weth).balanceOf(address(safe)), IERC20(usdc).balanceOf(address(safe)));
        bytes memory hops = abi.encodePacked(Plans.curve(usdc, address(lazy), 0, 1), Plans.uniswapV3(weth, 500));
        assertTrue(_asHotKey(weth, 1 ether, Plans.pack(Plans.own(), hops)), "the pool gives more than it takes");
        _give(weth, address(hers), 3 ether); // somebody's gift or mistake
        lazy.comeBack(weth, address(hers), mallory);
        assertEq(IERC20(weth).balanceOf(mallory), 0, "T25: an allowance was left and used");
    }

    function test_T26_calls_the_executor_back_as_if_she_were_a_pool() public {
        _give(weth, address(executor), 3 ether);
        uint256 hadBefore = IERC20(weth).balanceOf(mallory);
        vm.prank(mallory);
        (bool done,) = address(executor)
            .call(
                abi.encodeCall(executor.uniswapV3SwapCallback, (int256(3 ether), int256(0), abi.encode(weth, 3 ether)))
            );
        uint256 taken = IERC20(weth).balanceOf(mallory) - hadBefore;
        assertEq(taken, 0, string.concat("T26: she was paid", done ? " at once" : ""));
    }

    function test_T27_enters_the_module_again_in_the_midst_of_an_execution() public {
        _loosen(Change(ChangeKind.Operator, address(hook), 0)); // the hot key is a contract of hers
        _pairOfHers("uniswap_v2_factory", weth, 100 ether, 100 ether);
        _pairOfHers("sushi_factory", weth, 300 ether, 100 ether); // a profit that covers for what goes meanwhile
        bytes memory hops = abi.encodePacked(Plans.uniswapV2(address(hook)), Plans.sushi(weth));
        hook.onNextTransfer(
            address(module), abi.encodeCall(IVaultModule.deposit, (address(safe), weth, exchange, 1 ether))
        );
        bytes memory plan = Plans.pack(Plans.own(), hops);
        bytes memory call = abi.encodeCall(IVaultModule.execute, (address(safe), weth, 50 ether, plan));
        assertTrue(_as(address(hook), call) && hook.called(), "her hook was reached");
        assertEq(IERC20(weth).balanceOf(exchange), 0, "T27: she was let in twice");
    }

    function test_T34_skims_the_first_pair_while_it_waits_to_pay_a_pool() public {
        HookedToken loot = new HookedToken();
        IPairFactory factory = IPairFactory(_contract("uniswap_v2_factory"));
        address pair = factory.createPair(weth, address(loot));
        _give(weth, pair, 100 ether);
        loot.mint(pair, 100 ether);
        IPair(pair).mint(mallory);
        PoolFiller filler = new PoolFiller();
        loot.mint(address(filler), 1_000 ether);
        hook.mint(address(filler), 1_000 ether);
        filler.open(_contract("uniswap_v3_factory"), address(loot), address(hook), 1_000 ether - 1);
        _pairOfHers("sushi_factory", weth, 0.001 ether, 100 ether);
        bytes memory hops = abi.encodePacked(
            Plans.uniswapV2(address(loot)), Plans.uniswapV3(address(hook), filler.FEE()), Plans.sushi(weth)
        );
        // what was drawn lies in the pair until the pool calls back; before that, the pool's token calls her
        Skimmer skimmer = new Skimmer();
        hook.onNextTransfer(address(skimmer), abi.encodeCall(Skimmer.take, (pair, mallory, loot, 100 ether)));
        _asHotKey(weth, 50 ether, Plans.pack(Plans.own(), hops));
        _principalIsWhole("T34");
    }
}
