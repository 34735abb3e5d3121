// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IPairRouter {
    function swapExactTokensForTokens(uint256 amountIn, uint256 least, address[] calldata path, address to, uint256 deadline)
        external
        returns (uint256[] memory amounts);
}

interface IPoolRouter {
    struct ExactInputSingleParams {
        address tokenIn;
        address tokenOut;
        uint24 fee;
        address recipient;
        uint256 deadline;
        uint256 amountIn;
        uint256 amountOutMinimum;
        uint160 sqrtPriceLimitX96;
    }

    function exactInputSingle(ExactInputSingleParams calldata params) external payable returns (uint256 amountOut);
}

interface IVault {
    struct SingleSwap {
        bytes32 poolId;
        uint8 kind;
        address assetIn;
        address assetOut;
        uint256 amount;
        bytes userData;
    }

    struct FundManagement {
        address sender;
        bool fromInternalBalance;
        address payable recipient;
        bool toInternalBalance;
    }

    function swap(SingleSwap calldata single, FundManagement calldata funds, uint256 limit, uint256 deadline)
        external
        returns (uint256);
    function flashLoan(address to, address[] calldata tokens, uint256[] calldata amounts, bytes calldata data) external;
}

interface ICurvePool {
    function exchange(int128 i, int128 j, uint256 dx, uint256 minDy) external;
}

/// @title What anybody would write first: calls the protocols' routers one after the other; the benchmark's peer
/// @dev Holds what it trades with, so that it need not be sent anything. With standing approvals it approves each router
/// once and for all, else exactly what the hop takes.
contract PlainArbitrage {
    using SafeERC20 for IERC20;

    uint8 private constant PAIR = 0;
    uint8 private constant POOL = 1;
    uint8 private constant VAULT = 2;

    struct Hop {
        uint8 venue;
        address router;
        address tokenOut;
        uint24 fee;
        bytes32 poolId;
        int128 coinIn;
        int128 coinOut;
        uint256 minimum;
    }

    error NotOwner();
    error TooLittleProfit();
    error LegBelowMinimum();

    address private immutable OWNER = msg.sender;
    bool private immutable STANDING;
    address private lender;

    constructor(bool standing) {
        STANDING = standing;
    }

    /// Swap what is held along the hops.
    function run(address token, uint256 amount, uint256 minimumProfit, Hop[] calldata hops) external {
        if (msg.sender != OWNER) revert NotOwner();
        uint256 before = IERC20(token).balanceOf(address(this));
        _route(token, amount, hops);
        if (IERC20(token).balanceOf(address(this)) < before + minimumProfit) revert TooLittleProfit();
    }

    /// What a vault's module draws comes here.
    function entryOf(address, bytes calldata) external view returns (address) {
        return address(this);
    }

    /// Swap what a vault's module has sent, and let it pull all that comes out, as `ArbExecutor` does.
    function execute(address, address token, uint256 drawn, uint256, bytes calldata plan) external returns (uint256 owed) {
        (uint256 minimumProfit, Hop[] memory hops) = abi.decode(plan, (uint256, Hop[]));
        uint256 before = IERC20(token).balanceOf(address(this)) - drawn;
        this.continued(token, drawn, hops);
        owed = IERC20(token).balanceOf(address(this)) - before;
        if (owed < drawn + minimumProfit) revert TooLittleProfit();
        IERC20(token).forceApprove(msg.sender, owed);
    }

    /// The same with a flash loan of Balancer's.
    function borrow(address vault, address token, uint256 amount, uint256 minimumProfit, Hop[] calldata hops) external {
        if (msg.sender != OWNER) revert NotOwner();
        uint256 before = IERC20(token).balanceOf(address(this));
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (token, amount);
        lender = vault;
        IVault(vault).flashLoan(address(this), tokens, amounts, abi.encode(hops));
        lender = address(0);
        if (IERC20(token).balanceOf(address(this)) < before + minimumProfit) revert TooLittleProfit();
    }

    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata data
    ) external {
        if (msg.sender != lender) revert NotOwner();
        this.continued(tokens[0], amounts[0], abi.decode(data, (Hop[])));
        IERC20(tokens[0]).safeTransfer(msg.sender, amounts[0] + fees[0]);
    }

    function continued(address token, uint256 amount, Hop[] calldata hops) external {
        if (msg.sender != address(this)) revert NotOwner();
        _route(token, amount, hops);
    }

    function _route(address token, uint256 amount, Hop[] calldata hops) private {
        for (uint256 i = 0; i < hops.length; ++i) {
            uint256 before = IERC20(hops[i].tokenOut).balanceOf(address(this));
            _approve(token, hops[i].router, amount);
            _swap(hops[i], token, amount);
            token = hops[i].tokenOut;
            amount = IERC20(token).balanceOf(address(this)) - before;
            if (amount < hops[i].minimum) revert LegBelowMinimum();
        }
    }

    function _approve(address token, address router, uint256 amount) private {
        if (!STANDING) IERC20(token).forceApprove(router, amount);
        else if (IERC20(token).allowance(address(this), router) < amount) {
            IERC20(token).forceApprove(router, type(uint256).max);
        }
    }

    function _swap(Hop calldata hop, address token, uint256 amount) private {
        if (hop.venue == PAIR) {
            address[] memory path = new address[](2);
            (path[0], path[1]) = (token, hop.tokenOut);
            IPairRouter(hop.router).swapExactTokensForTokens(amount, hop.minimum, path, address(this), block.timestamp);
        } else if (hop.venue == POOL) {
            IPoolRouter(hop.router)
                .exactInputSingle(
                    IPoolRouter.ExactInputSingleParams(
                        token, hop.tokenOut, hop.fee, address(this), block.timestamp, amount, hop.minimum, 0
                    )
                );
        } else if (hop.venue == VAULT) {
            IVault(hop.router)
                .swap(
                    IVault.SingleSwap(hop.poolId, 0, token, hop.tokenOut, amount, ""),
                    IVault.FundManagement(address(this), false, payable(address(this)), false),
                    hop.minimum,
                    block.timestamp
                );
        } else {
            ICurvePool(hop.router).exchange(hop.coinIn, hop.coinOut, amount, hop.minimum);
        }
    }
}
