// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {NetworkOrders} from "./NetworkOrders.sol";
import {Route} from "./Route.sol";
import {ExecutorBindings, IArbExecutor} from "./interfaces/IArbExecutor.sol";
import {IWrappedEther} from "./interfaces/external/IWrappedEther.sol";
import {AaveLender} from "./lenders/AaveLender.sol";
import {BalancerLender} from "./lenders/BalancerLender.sol";
import {ConcentratedLender} from "./lenders/ConcentratedLender.sol";
import {ListedLender} from "./lenders/ListedLender.sol";
import {MorphoLender} from "./lenders/MorphoLender.sol";
import {Allowance} from "./libraries/Allowance.sol";
import {Packed} from "./libraries/Packed.sol";
import {Order} from "./libraries/Statements.sol";
import {AaveLiquidation} from "./venues/AaveLiquidation.sol";
import {BalancerVenue} from "./venues/BalancerVenue.sol";
import {ConcentratedVenue} from "./venues/ConcentratedVenue.sol";
import {CurveVenue} from "./venues/CurveVenue.sol";
import {MorphoLiquidation} from "./venues/MorphoLiquidation.sol";
import {SingletonVenue} from "./venues/SingletonVenue.sol";

/// @title ArbExecutor
contract ArbExecutor is
    BalancerLender,
    AaveLender,
    ConcentratedLender,
    MorphoLender,
    ListedLender,
    NetworkOrders,
    ReentrancyGuardTransient
{
    using Allowance for IERC20;
    using Packed for bytes;

    uint256 private constant NOBODY = 0;
    uint256 private constant BALANCER_V2 = 1;
    uint256 private constant AAVE_V3 = 2;
    uint256 private constant UNISWAP_V3 = 3;
    uint256 private constant MORPHO_BLUE = 4;
    uint256 private constant ERC_3156 = 5;

    uint256 private constant OWN = 0;
    uint256 private constant NETWORK = 1;

    uint256 private constant HEADER_BYTES = 50;

    address private immutable MODULE;

    constructor(ExecutorBindings memory bindings)
        Route(bindings.uniswapV2, bindings.sushiSwap)
        ConcentratedVenue(bindings.uniswapV3)
        BalancerVenue(bindings.balancerVault)
        SingletonVenue(bindings.weth, bindings.poolManager)
        CurveVenue(bindings.curvePools)
        AaveLiquidation(bindings.aavePool)
        MorphoLiquidation(bindings.morpho)
        ListedLender(bindings.flashLenders)
        NetworkOrders(bindings.ledger)
    {
        MODULE = bindings.module;
    }

    /// @inheritdoc IArbExecutor
    function execute(address hotKey, address token, uint256 drawn, uint256 bidCap, bytes calldata plan)
        external
        nonReentrant
        returns (uint256 owed)
    {
        if (msg.sender != MODULE) revert NotModule();
        uint256 lastBlock = plan.read(1, 5);
        if (block.number > lastBlock) revert PlanExpired(lastBlock);
        uint256 bid = plan.read(38, 12);
        if (bid > bidCap) revert BidAboveCap(bid, bidCap);
        uint256 proceeds = _proceedsOf(hotKey, token, drawn, bid, plan);
        uint256 required = drawn + plan.read(22, 16) + bid;
        if (proceeds < required) revert ProfitBelowMinimum(proceeds, required);
        if (bid != 0) _payBuilder(token, bid);
        owed = proceeds - bid;
        IERC20(token).lend(msg.sender, owed);
    }

    /// @inheritdoc IArbExecutor
    function trade(address sold, uint256 amount, address bought, bytes calldata plan)
        external
        nonReentrant
        returns (uint256 owed)
    {
        if (msg.sender != MODULE) revert NotModule();
        uint256 lastBlock = plan.read(1, 5);
        if (block.number > lastBlock) revert PlanExpired(lastBlock);
        if (plan.read(0, 1) != NOBODY) revert UnknownSource(plan.read(0, 1));
        if (amount == 0 || plan.read(6, 16) != 0 || plan.read(38, 12) != 0) revert WrongAmount();
        owed = _runRoute(plan, HEADER_BYTES, sold, amount, bought);
        uint256 required = plan.read(22, 16);
        if (owed < required) revert ProfitBelowMinimum(owed, required);
        IERC20(bought).lend(msg.sender, owed);
    }

    /// @dev Of an own execution all that comes out; of an order what is left after the finder and the fee.
    function _proceedsOf(address hotKey, address token, uint256 drawn, uint256 bid, bytes calldata plan)
        private
        returns (uint256 proceeds)
    {
        uint256 what = plan.read(0, 1);
        if (what >> 4 == OWN) return _cycle(token, drawn, plan, HEADER_BYTES);
        if (what >> 4 != NETWORK) revert UnknownSource(what);
        Order memory order = _openOrder(plan, HEADER_BYTES, token, plan.read(1, 5), hotKey);
        proceeds = _cycle(token, drawn, plan, HEADER_BYTES + ORDER_BYTES);
        if (proceeds < drawn + bid) revert ProfitBelowMinimum(proceeds, drawn + bid);
        return proceeds - _settleOrder(order, proceeds - drawn - bid);
    }

    /// @dev Borrow, run the route that begins at `offset`, repay.
    function _cycle(address token, uint256 drawn, bytes calldata plan, uint256 offset) private returns (uint256) {
        uint256 source = plan.read(0, 1) & 0x0f;
        uint256 borrowed = plan.read(6, 16);
        if (drawn + borrowed == 0 || (borrowed == 0) != (source == NOBODY)) revert WrongAmount();
        if (source == NOBODY) return _runRoute(plan, offset, token, drawn);
        bytes calldata rest = plan[offset:];
        if (source == BALANCER_V2) {
            _borrowFromBalancer(token, drawn, borrowed, rest);
        } else if (source == AAVE_V3) {
            _borrowFromAave(token, drawn, borrowed, rest);
        } else if (source == UNISWAP_V3) {
            _borrowFromPool(token, drawn, borrowed, rest);
        } else if (source == MORPHO_BLUE) {
            _borrowFromMorpho(token, drawn, borrowed, rest);
        } else if (source == ERC_3156) {
            _borrowFromListed(token, drawn, borrowed, rest);
        } else {
            revert UnknownSource(source);
        }
        return _takeProceeds();
    }

    /// @dev Nothing the builder returns is looked at or copied.
    function _payBuilder(address token, uint256 bid) private {
        if (token != WETH) revert BidNotInWeth(token);
        IWrappedEther(WETH).withdraw(bid);
        if (!LowLevelCall.callNoReturn(block.coinbase, bid, "")) revert BuilderRefused();
    }
}
