// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title A StableSwap pool of three coins with the interface of Curve's: ours, not a genuine deployment
/// @notice The arithmetic is that of Curve's SwapTemplateBase.vy, to the unit: A has two further digits, a fee is of
/// 10^10, exchanges take int128 indices, and half of the fee belongs to an administrator, who never comes for it.
/// What a devnet does not need is left out: ramping A, killing, withdrawing in one coin. No Curve contract is on any
/// package registry; the arithmetic is checked against mainnet's answers in tests.
contract DevnetStableSwap is ERC20 {
    using SafeERC20 for IERC20;

    uint256 private constant N = 3;
    uint256 private constant A_PRECISION = 100;
    uint256 private constant FEE_DENOMINATOR = 10 ** 10;
    uint256 private constant PRECISION = 10 ** 18;
    uint256 private constant ROUNDS = 255;

    uint256 public immutable fee;
    uint256 public constant admin_fee = 5 * 10 ** 9;
    uint256 private immutable _amplification;
    address[N] private _coins;
    uint256[N] private _rates;
    uint256[N] private _balances;

    event TokenExchange(
        address indexed buyer, int128 sold_id, uint256 tokens_sold, int128 bought_id, uint256 tokens_bought
    );
    event AddLiquidity(
        address indexed provider, uint256[N] token_amounts, uint256[N] fees, uint256 invariant, uint256 token_supply
    );
    event RemoveLiquidity(address indexed provider, uint256[N] token_amounts, uint256[N] fees, uint256 token_supply);

    error WrongCoin();
    error Slippage();
    error EmptyPool();
    error NotConverged();

    /// @param coins_ In the pool's own order; none has more than 18 decimals.
    /// @param amplification A, without the further digits.
    constructor(address[N] memory coins_, uint256 amplification, uint256 fee_) ERC20("Devnet StableSwap", "dSS") {
        _amplification = amplification * A_PRECISION;
        fee = fee_;
        for (uint256 i = 0; i < N; ++i) {
            _coins[i] = coins_[i];
            _rates[i] = 10 ** (36 - ERC20(coins_[i]).decimals());
        }
    }

    function coins(uint256 i) external view returns (address) {
        return _coins[i];
    }

    function balances(uint256 i) external view returns (uint256) {
        return _balances[i];
    }

    function A() external view returns (uint256) {
        return _amplification / A_PRECISION;
    }

    function A_precise() external view returns (uint256) {
        return _amplification;
    }

    function get_virtual_price() external view returns (uint256) {
        return _invariant(_lifted()) * PRECISION / totalSupply();
    }

    /// @notice What selling `dx` of coin `i` for coin `j` gives, after the fee
    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256) {
        uint256[N] memory lifted = _lifted();
        (uint256 sold, uint256 bought) = (_index(i), _index(j));
        uint256 gross = _received(lifted, sold, bought, lifted[sold] + dx * _rates[sold] / PRECISION);
        return (gross - fee * gross / FEE_DENOMINATOR) * PRECISION / _rates[bought];
    }

    /// @notice Sell `dx` of coin `i` for at least `min_dy` of coin `j`
    function exchange(int128 i, int128 j, uint256 dx, uint256 min_dy) external returns (uint256 dy) {
        (uint256 sold, uint256 bought) = (_index(i), _index(j));
        uint256[N] memory lifted = _lifted();
        uint256 gross = _received(lifted, sold, bought, lifted[sold] + dx * _rates[sold] / PRECISION);
        uint256 charged = gross * fee / FEE_DENOMINATOR;
        dy = (gross - charged) * PRECISION / _rates[bought];
        if (dy < min_dy) revert Slippage();
        _balances[sold] += dx;
        _balances[bought] -= dy + charged * admin_fee / FEE_DENOMINATOR * PRECISION / _rates[bought];
        IERC20(_coins[sold]).safeTransferFrom(msg.sender, address(this), dx);
        IERC20(_coins[bought]).safeTransfer(msg.sender, dy);
        emit TokenExchange(msg.sender, i, dx, j, dy);
    }

    /// @notice Deposit coins for at least `min_mint` of the pool's own tokens; the first deposit needs every coin
    function add_liquidity(uint256[N] calldata amounts, uint256 min_mint) external returns (uint256 minted) {
        uint256 supply = totalSupply();
        uint256 before = supply == 0 ? 0 : _invariant(_lifted());
        uint256[N] memory held = _balances;
        uint256[N] memory raised;
        for (uint256 i = 0; i < N; ++i) {
            if (supply == 0 && amounts[i] == 0) revert EmptyPool();
            raised[i] = held[i] + amounts[i];
        }
        uint256 afterwards = _invariant(_lift(raised));
        uint256[N] memory fees;
        (minted, fees) = _credit(held, raised, supply, before, afterwards);
        if (minted < min_mint) revert Slippage();
        for (uint256 i = 0; i < N; ++i) {
            if (amounts[i] != 0) IERC20(_coins[i]).safeTransferFrom(msg.sender, address(this), amounts[i]);
        }
        _mint(msg.sender, minted);
        emit AddLiquidity(msg.sender, amounts, fees, afterwards, supply + minted);
    }

    /// @notice Burn the pool's own tokens for a share of every coin
    function remove_liquidity(uint256 amount, uint256[N] calldata min_amounts)
        external
        returns (uint256[N] memory amounts)
    {
        uint256 supply = totalSupply();
        _burn(msg.sender, amount);
        for (uint256 i = 0; i < N; ++i) {
            amounts[i] = _balances[i] * amount / supply;
            if (amounts[i] < min_amounts[i]) revert Slippage();
            _balances[i] -= amounts[i];
            IERC20(_coins[i]).safeTransfer(msg.sender, amounts[i]);
        }
        uint256[N] memory none;
        emit RemoveLiquidity(msg.sender, amounts, none, supply - amount);
    }

    /// Stores the balances after a deposit, of which an uneven one is charged, and tells what it is credited.
    function _credit(uint256[N] memory held, uint256[N] memory raised, uint256 supply, uint256 before, uint256 afterwards)
        private
        returns (uint256 minted, uint256[N] memory fees)
    {
        if (supply == 0) {
            _balances = raised;
            return (afterwards, fees);
        }
        uint256[N] memory charged;
        for (uint256 i = 0; i < N; ++i) {
            uint256 ideal = afterwards * held[i] / before;
            uint256 away = ideal > raised[i] ? ideal - raised[i] : raised[i] - ideal;
            fees[i] = fee * N / (4 * (N - 1)) * away / FEE_DENOMINATOR;
            _balances[i] = raised[i] - fees[i] * admin_fee / FEE_DENOMINATOR;
            charged[i] = raised[i] - fees[i];
        }
        minted = supply * (_invariant(_lift(charged)) - before) / before;
    }

    function _index(int128 i) private pure returns (uint256) {
        if (i < 0 || i >= int128(int256(N))) revert WrongCoin();
        return uint256(int256(i));
    }

    function _lifted() private view returns (uint256[N] memory) {
        return _lift(_balances);
    }

    function _lift(uint256[N] memory held) private view returns (uint256[N] memory lifted) {
        for (uint256 i = 0; i < N; ++i) {
            lifted[i] = _rates[i] * held[i] / PRECISION;
        }
    }

    /// What coin `j` gives up (18 decimals, before the fee) when coin `i` has become `x`; one unit for rounding.
    function _received(uint256[N] memory lifted, uint256 i, uint256 j, uint256 x) private view returns (uint256) {
        if (i == j) revert WrongCoin();
        return lifted[j] - _solved(i, j, x, lifted) - 1;
    }

    /// get_D: A·n^n·S + D = A·D·n^n + D^(n+1) / (n^n·P), by Newton's iteration.
    function _invariant(uint256[N] memory lifted) private view returns (uint256 d) {
        uint256 sum = lifted[0] + lifted[1] + lifted[2];
        if (sum == 0) return 0;
        uint256 annuity = _amplification * N;
        d = sum;
        for (uint256 round = 0; round < ROUNDS; ++round) {
            uint256 product = d;
            for (uint256 k = 0; k < N; ++k) {
                product = product * d / (lifted[k] * N);
            }
            uint256 previous = d;
            d = (annuity * sum / A_PRECISION + product * N) * d
                / ((annuity - A_PRECISION) * d / A_PRECISION + (N + 1) * product);
            if (_areNear(d, previous)) return d;
        }
        revert NotConverged();
    }

    /// get_y: the balance of coin `j` that keeps the invariant when coin `i` has become `x`.
    function _solved(uint256 i, uint256 j, uint256 x, uint256[N] memory lifted) private view returns (uint256 y) {
        uint256 d = _invariant(lifted);
        uint256 annuity = _amplification * N;
        uint256 c = d;
        uint256 sum = 0;
        for (uint256 k = 0; k < N; ++k) {
            if (k == j) continue;
            uint256 held = k == i ? x : lifted[k];
            sum += held;
            c = c * d / (held * N);
        }
        c = c * d * A_PRECISION / (annuity * N);
        uint256 b = sum + d * A_PRECISION / annuity;
        y = d;
        for (uint256 round = 0; round < ROUNDS; ++round) {
            uint256 previous = y;
            y = (y * y + c) / (2 * y + b - d);
            if (_areNear(y, previous)) return y;
        }
        revert NotConverged();
    }

    function _areNear(uint256 one, uint256 other) private pure returns (bool) {
        return (one > other ? one - other : other - one) <= 1;
    }
}
