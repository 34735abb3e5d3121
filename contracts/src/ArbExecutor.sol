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

    /// @dev What and whence (8 bits), last block (40), amount borrowed (128); then minimum profit (128), payment to the
    /// builder (96).
    uint256 private constant HEAD_BYTES = 22;
    uint256 private constant TERMS_BYTES = 28;
    uint256 private constant HEADER_BYTES = 50;
    uint256 private constant BID_BITS = 96;
    uint256 private constant SOURCE_MASK = 0x0f;

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
        (uint256 head, uint256 terms) = _begin(plan);
        uint256 bid = uint96(terms);
        if (bid > bidCap) revert BidAboveCap(bid, bidCap);
        uint256 proceeds = _proceedsOf(hotKey, token, drawn, bid, head, plan);
        _requireProceeds(proceeds, drawn + (terms >> BID_BITS) + bid);
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
        (uint256 head, uint256 terms) = _begin(plan);
        if (_whatOf(head) != NOBODY) revert UnknownSource(_whatOf(head));
        if (amount == 0 || uint128(head) != 0 || uint96(terms) != 0) revert WrongAmount();
        owed = _runRoute(plan, HEADER_BYTES, sold, amount, bought);
        _requireProceeds(owed, terms >> BID_BITS);
        IERC20(bought).lend(msg.sender, owed);
    }

    /// @inheritdoc IArbExecutor
    function entryOf(address token, bytes calldata plan) external view returns (address) {
        uint256 what = plan.read(0, 1);
        if (what & SOURCE_MASK != NOBODY) return address(this);
        return _entryOf(plan, what >> 4 == OWN ? HEADER_BYTES : HEADER_BYTES + ORDER_BYTES, token);
    }

    /// @dev Of an own execution all that comes out; of an order what is left after the finder and the fee.
    function _proceedsOf(address hotKey, address token, uint256 drawn, uint256 bid, uint256 head, bytes calldata plan)
        private
        returns (uint256 proceeds)
    {
        uint256 what = _whatOf(head);
        if (what >> 4 == OWN) return _cycle(token, drawn, head, plan, HEADER_BYTES);
        if (what >> 4 != NETWORK) revert UnknownSource(what);
        Order memory order = _open(hotKey, token, head, plan);
        proceeds = _cycle(token, drawn, head, plan, HEADER_BYTES + ORDER_BYTES);
        _requireProceeds(proceeds, drawn + bid);
        return proceeds - _settleOrder(order, proceeds - drawn - bid);
    }

    function _open(address hotKey, address token, uint256 head, bytes calldata plan) private returns (Order memory) {
        bytes32[] memory uses = _usesOf(token, _whatOf(head) & SOURCE_MASK, plan, HEADER_BYTES + ORDER_BYTES);
        return _openOrder(plan, HEADER_BYTES, token, _lastBlockOf(head), hotKey, uses);
    }

    /// @dev Borrow, run the route that begins at `offset`, repay.
    function _cycle(address token, uint256 drawn, uint256 head, bytes calldata plan, uint256 offset)
        private
        returns (uint256)
    {
        uint256 source = _whatOf(head) & SOURCE_MASK;
        uint256 borrowed = uint128(head);
        if (drawn + borrowed == 0 || (borrowed == 0) != (source == NOBODY)) revert WrongAmount();
        if (source == NOBODY) return _runRoute(plan, offset, token, drawn, token);
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

    /// @dev What a plan whose lender or route begins at `offset` uses, as the brake and governance name it.
    function _usesOf(address token, uint256 source, bytes calldata plan, uint256 offset)
        private
        view
        returns (bytes32[] memory)
    {
        address lender;
        if (source == BALANCER_V2) {
            lender = address(BALANCER);
        } else if (source == AAVE_V3) {
            lender = address(AAVE);
        } else if (source == UNISWAP_V3) {
            lender = _lendingPool(token, plan, offset);
            offset += POOL_BYTES;
        } else if (source == MORPHO_BLUE) {
            lender = address(MORPHO);
        } else if (source == ERC_3156) {
            lender = plan.readAddress(offset);
            offset += LENDER_BYTES;
        }
        return _usesOfRoute(plan, offset, token, lender);
    }

    /// @dev For the module only, and in time.
    function _begin(bytes calldata plan) private view returns (uint256 head, uint256 terms) {
        if (msg.sender != MODULE) revert NotModule();
        head = plan.read(0, HEAD_BYTES);
        uint256 lastBlock = _lastBlockOf(head);
        if (block.number > lastBlock) revert PlanExpired(lastBlock);
        terms = plan.read(HEAD_BYTES, TERMS_BYTES);
    }

    function _requireProceeds(uint256 proceeds, uint256 required) private pure {
        if (proceeds < required) revert ProfitBelowMinimum(proceeds, required);
    }

    function _whatOf(uint256 head) private pure returns (uint256) {
        return head >> 168;
    }

    function _lastBlockOf(uint256 head) private pure returns (uint256) {
        return uint40(head >> 128);
    }

    /// @dev Nothing the builder returns is looked at or copied.
    function _payBuilder(address token, uint256 bid) private {
        if (token != WETH) revert BidNotInWeth(token);
        IWrappedEther(WETH).withdraw(bid);
        if (!LowLevelCall.callNoReturn(block.coinbase, bid, "")) revert BuilderRefused();
    }
}
