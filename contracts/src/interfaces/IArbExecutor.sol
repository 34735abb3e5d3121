// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The pairs of one factory of Uniswap V2's kind: where they are, and what they take.
/// @param factory Creates each pair by CREATE2 with the hash of both tokens as salt.
/// @param initCodeHash Keccak-256 of the pairs' creation code.
/// @param feePips The fee in hundredths of a basis point of the amount in (3000 = 0.3 %).
struct PairFactory {
    address factory;
    bytes32 initCodeHash;
    uint256 feePips;
}

/// @notice The pools of one factory of Uniswap V3's kind.
/// @param factory The address that CREATE2 derives pools from (for some forks not the factory but its deployer).
/// @param initCodeHash Keccak-256 of the pools' creation code.
struct PoolFactory {
    address factory;
    bytes32 initCodeHash;
}

/// @notice Everything an executor is bound to for ever.
/// @param module The only caller: the module that knows whose funds they are.
/// @param weth WETH9; the only token out of whose profit a builder is paid.
/// @param ledger Where orders of the network are opened and settled.
/// @param poolManager Uniswap V4's.
/// @param morpho Morpho Blue: its markets and its flash loans.
/// @param curvePools The pools with Curve's interface that a plan may name; none holds ether.
/// @param flashLenders The lenders of ERC-3156 that a plan may name.
struct ExecutorBindings {
    address module;
    address weth;
    PairFactory uniswapV2;
    PairFactory sushiSwap;
    PoolFactory uniswapV3;
    address balancerVault;
    address aavePool;
    address ledger;
    address poolManager;
    address morpho;
    address[] curvePools;
    address[] flashLenders;
}

/// @title Runs one cycle of swaps with drawn or borrowed funds and leaves nothing behind
/// @notice Holds no funds and no rights between calls. Whoever could call it otherwise could neither take nor lose
/// anything of it; only the module may, so that a call is always somebody's, within that somebody's bounds.
///
/// P17  No balance and no allowance is left after a call. What strangers send in stays where it is and never counts.
/// P18  The profit, after the payment to the builder, or what a trade buys, is at least the plan's minimum, or everything reverts.
/// P19  The payment to the builder is at most what the module allows, and comes out of WETH profit only.
///
/// An order of the network is opened in the `ExecutionLedger` before its route and settled after it: the finder is paid
/// in the transaction (P9, P10), and P18 holds for what is left then.
///
/// A plan is packed, big-endian, without padding:
///
///     bytes      field
///     1          what and whence: 0x00 nothing borrowed, 0x01 Balancer V2, 0x02 Aave V3, 0x03 Uniswap V3 flash,
///                0x04 Morpho, 0x05 a listed lender of ERC-3156.
///                The upper four bits: 0 an own execution, 1 an order of the network.
///     5          last block in which the plan may run; of an order the one block
///     16         amount borrowed, of the token that was also drawn
///     16         minimum profit, in the token's smallest unit
///     12         payment to the builder, wei
///     211        only of an order: finder, executor and payTo (20 each), finderBps (2), minFinderWei (16), primaryKey
///                and routeCommit (32 each), the leader's entry in the epoch (4), the finder's signature (65). The
///                profit token is the plan's, the target block its last one
///     20 + 3     only for 0x_3: the lending pool's other token, its fee in pips
///     20         only for 0x_5: the lender
///     then each hop:
///     1          venue: 0 Uniswap V2, 1 SushiSwap, 2 Uniswap V3, 3 Balancer V2, 4 Uniswap V4, 5 Uniswap V4 with a pool
///                that holds ether where the plan says WETH, 6 Curve with signed indices, 7 Curve with unsigned ones,
///                8 liquidation on Aave V3, 9 liquidation on Morpho (both: debt in, collateral out)
///     20         token out; the last hop's must be the token the cycle began with
///     3          only Uniswap V3: the pool's fee in pips
///     32         only Balancer V2: the pool's id
///     3 + 3      only Uniswap V4: the pool's fee in pips, its tick spacing; it has no hooks
///     20 + 1     only Curve: the pool; four bits the coin in, four bits the coin out
///     20         only liquidations: the borrower
///     20 + 20    only Morpho: the market's oracle, its rate model
///     8 + 16     only Morpho: its loan-to-value of liquidation (18 decimals), the debt's shares to repay
///     4          the least that may come out: 8 bits n, 24 bits m, meaning m · 2^n
///
/// Pools are named by factory, tokens and fee, and their addresses derived, or were listed at the beginning: there is no
/// foreign pool to name. A liquidation takes what it may of the amount in. What is left stays with the proceeds, if it is
/// of the token that the cycle began with; else the plan fails.
interface IArbExecutor {
    /// @notice The caller is not the module.
    error NotModule();
    /// @notice The plan's last block has passed.
    error PlanExpired(uint256 lastBlock);
    /// @notice The plan ends inside a field, or has no hop.
    error MalformedPlan();
    /// @notice The plan's first byte names no lender that is known here, or a kind of execution that is not.
    error UnknownSource(uint256 source);
    /// @notice A hop names a venue that is not allow-listed.
    error UnknownVenue(uint256 venue);
    /// @notice There is nothing to swap, or an amount is borrowed from nobody.
    error WrongAmount();
    /// @notice No contract stands where the factory would have created this pool.
    error NoSuchPool(address pool);
    /// @notice A pool with Curve's interface that was not listed when the executor was created.
    error PoolNotListed(address pool);
    /// @notice A lender of ERC-3156 that was not listed when the executor was created.
    error LenderNotListed(address lender);
    /// @notice A listed lender of ERC-3156 says that it did not lend.
    error LoanRefused(address lender);
    /// @notice Less came out of a hop (counted from 0) than its minimum.
    error LegBelowMinimum(uint256 hop, uint256 amountOut, uint256 minimum);
    /// @notice A pool of Uniswap V3 or V4 ran out of liquidity and took less than it was to take; or a liquidation in the
    /// middle of a cycle did.
    error PartialFill(uint256 taken, uint256 amountIn);
    /// @notice The last hop gives another token than the one that the route is to end with.
    error RouteNotClosed(address tokenOut);
    /// @notice What came out of the route does not repay the loan and its fee.
    error LoanNotCovered(uint256 proceeds, uint256 owed);
    /// @notice P18: after repayment less is left than the amount drawn, the minimum profit and the builder's payment; or
    /// a trade gave less than its minimum.
    error ProfitBelowMinimum(uint256 proceeds, uint256 required);
    /// @notice P19: the builder is to get more than the module allows.
    error BidAboveCap(uint256 bid, uint256 cap);
    /// @notice P19: a builder is paid out of WETH profit only.
    error BidNotInWeth(address token);
    /// @notice The builder's account does not take the payment.
    error BuilderRefused();
    /// @notice A callback that no call under way asked for: of another caller, kind or payload, or a second time.
    error UnexpectedCallback();
    /// @notice The lender never called back.
    error CallbackMissing();
    /// @notice Aave or a lender of ERC-3156 calls back for a loan that someone else has taken out in our name.
    error ForeignInitiator(address initiator);
    /// @notice Ether comes from WETH, and out of a pool of Uniswap V4 in a swap under way, only.
    error UnexpectedEther();

    /// @notice Where a plan takes what its caller sends in: the first hop's pair, which would be sent it anyway; without
    /// one, or where a lender comes first, this contract.
    /// @param token The token the route begins with.
    /// @param plan See above.
    function entryOf(address token, bytes calldata plan) external view returns (address);

    /// @notice Run a plan. The caller has sent `drawn` of `token` to where `entryOf` says, and pulls what it is owed, which
    /// it is allowed to.
    /// @param hotKey Who called the module; an order's leader is judged by it.
    /// @param token The token the cycle begins and ends with.
    /// @param drawn What the caller has sent in, in the token's smallest unit; may be 0 with a loan.
    /// @param bidCap The most the builder may be paid, wei.
    /// @param plan See above.
    /// @return owed `drawn` and the profit.
    function execute(address hotKey, address token, uint256 drawn, uint256 bidCap, bytes calldata plan)
        external
        returns (uint256 owed);

    /// @notice Run a plan that ends with another token than it begins with. Nothing is borrowed and no builder is paid (both
    /// fields are 0), and the minimum is of what is bought. The caller has sent `amount` of `sold` to where `entryOf`
    /// says and pulls `owed`.
    /// @param sold The token the route begins with.
    /// @param amount What the caller has sent in, in its smallest unit.
    /// @param bought The token the route ends with.
    /// @param plan See above.
    /// @return owed All that came out, in the smallest unit of `bought`.
    function trade(address sold, uint256 amount, address bought, bytes calldata plan) external returns (uint256 owed);

    /// @notice Uniswap V3 asks for what a swap costs.
    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata data) external;

    /// @notice Uniswap V4 is unlocked and waits for a swap and its settlement.
    function unlockCallback(bytes calldata data) external returns (bytes memory);

    /// @notice Uniswap V3 has lent and waits for loan and fees.
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external;

    /// @notice Balancer V2 has lent and waits for loan and fee.
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata data
    ) external;

    /// @notice Aave V3 has lent and will pull loan and premium.
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata data)
        external
        returns (bool);

    /// @notice Morpho has lent and will pull the loan.
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;

    /// @notice A listed lender of ERC-3156 has lent and will pull loan and fee.
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32);
}
