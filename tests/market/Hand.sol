// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
    function approve(address spender, uint256 amount) external returns (bool);
}

interface IPoolManager {
    function sync(address currency) external;
    function settle() external payable returns (uint256);
    function take(address currency, address to, uint256 amount) external;
}

/// @title The hand of the differential fuzz: takes steps at the protocols, pays what they ask back, and tells answers
/// @notice Steps are packed. A step: 3 bytes of length, its calls; 1 byte of count, its queries. A call or a query: 20
///         bytes of address, 3 bytes of length, the call data. A step's calls are all done or none of them.
contract Hand {
    /// A step's outcome: 1 byte whether it was done, 3 bytes of length, why not; then for each query 1 byte whether it
    /// was answered, 3 bytes of length, the answer
    event Stepped(bytes outcome);

    uint256 private constant STEP_GAS = 4_000_000;
    /// With less gas left no further step is begun, so that none can fail for want of it
    uint256 private constant RESERVE = 6_000_000;
    uint256 private constant LONGEST_REASON = 100;
    address private immutable OWNER;

    constructor() {
        OWNER = msg.sender;
    }

    receive() external payable {}

    function act(bytes calldata steps) external {
        require(msg.sender == OWNER, "not the owner");
        uint256 place = 0;
        while (place < steps.length && gasleft() > RESERVE) {
            bytes memory outcome;
            (outcome, place) = _step(steps, place);
            emit Stepped(outcome);
        }
    }

    function perform(bytes calldata calls) external {
        require(msg.sender == address(this), "not myself");
        _run(calls);
    }

    function _step(bytes calldata steps, uint256 place) private returns (bytes memory outcome, uint256 next) {
        uint256 size = uint24(bytes3(steps[place:place + 3]));
        place += 3;
        try this.perform{gas: STEP_GAS}(steps[place:place + size]) {
            outcome = hex"01000000";
        } catch (bytes memory why) {
            if (why.length > LONGEST_REASON) why = "a long reason";
            outcome = abi.encodePacked(false, uint24(why.length), why);
        }
        place += size;
        uint256 count = uint8(steps[place++]);
        for (; count > 0; --count) {
            address to;
            bytes calldata data;
            (to, data, place) = _next(steps, place);
            (bool answered, bytes memory answer) = to.call{gas: STEP_GAS}(data);
            if (!answered) answer = "";
            outcome = abi.encodePacked(outcome, answered, uint24(answer.length), answer);
        }
        next = place;
    }

    function _run(bytes calldata calls) private {
        uint256 place = 0;
        while (place < calls.length) {
            address to;
            bytes calldata data;
            (to, data, place) = _next(calls, place);
            _call(to, data);
        }
    }

    function _next(bytes calldata packed, uint256 place)
        private
        pure
        returns (address to, bytes calldata data, uint256 next)
    {
        to = address(bytes20(packed[place:place + 20]));
        next = place + 23 + uint24(bytes3(packed[place + 20:place + 23]));
        data = packed[place + 23:next];
    }

    function _call(address to, bytes calldata data) private returns (bytes memory) {
        (bool done, bytes memory answer) = to.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }

    function _pay(address token, address to, uint256 amount) private {
        if (amount > 0) require(IToken(token).transfer(to, amount), "not paid");
    }

    function _pair(bytes calldata data) private pure returns (address token0, address token1) {
        token0 = address(bytes20(data[:20]));
        token1 = address(bytes20(data[20:40]));
    }

    // What the protocols call back. `data` are packed calls, or first the tokens that are owed.

    function uniswapV2Call(address, uint256, uint256, bytes calldata data) external {
        _run(data);
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata data) external {
        (address token0, address token1) = _pair(data);
        if (amount0 > 0) _pay(token0, msg.sender, uint256(amount0));
        if (amount1 > 0) _pay(token1, msg.sender, uint256(amount1));
    }

    function uniswapV3MintCallback(uint256 amount0, uint256 amount1, bytes calldata data) external {
        (address token0, address token1) = _pair(data);
        _pay(token0, msg.sender, amount0);
        _pay(token1, msg.sender, amount1);
    }

    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        (address token0, address token1) = _pair(data);
        (uint256 lent0, uint256 lent1) = abi.decode(data[40:], (uint256, uint256));
        _pay(token0, msg.sender, lent0 + fee0);
        _pay(token1, msg.sender, lent1 + fee1);
    }

    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata data
    ) external {
        _run(data);
        for (uint256 i = 0; i < tokens.length; ++i) _pay(tokens[i], msg.sender, amounts[i] + fees[i]);
    }

    function executeOperation(address asset, uint256 amount, uint256 premium, address, bytes calldata data)
        external
        returns (bool)
    {
        _run(data);
        return IToken(asset).approve(msg.sender, amount + premium);
    }

    function onMorphoFlashLoan(uint256, bytes calldata data) external {
        _run(data);
    }

    /// Uniswap V4: one call of the manager, whose answer begins with the two balance deltas to be settled
    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (address currency0, address currency1) = _pair(data);
        int256 deltas = abi.decode(_call(msg.sender, data[40:]), (int256));
        _settle(currency0, int128(deltas >> 128));
        _settle(currency1, int128(deltas));
        return "";
    }

    function _settle(address currency, int128 delta) private {
        if (delta < 0) {
            uint256 owed = uint256(-int256(delta));
            IPoolManager(msg.sender).sync(currency);
            if (currency == address(0)) {
                IPoolManager(msg.sender).settle{value: owed}();
            } else {
                _pay(currency, msg.sender, owed);
                IPoolManager(msg.sender).settle();
            }
        } else if (delta > 0) {
            IPoolManager(msg.sender).take(currency, address(this), uint256(int256(delta)));
        }
    }
}
