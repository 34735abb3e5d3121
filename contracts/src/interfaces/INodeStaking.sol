// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One operator.
/// @param hotKey In force now; zero: not registered.
/// @param active Stake that counts, smallest units.
/// @param leaving Stake on its way out: counts for nothing, and can still be slashed.
/// @param readyAt When `leaving` can be paid out, Unix seconds.
/// @param lockedThrough The last block through which `locked` of the active stake cannot begin to leave.
/// @param locked See there.
/// @param peerIdHash Keccak-256 of the libp2p peer id.
struct Operator {
    address hotKey;
    uint96 active;
    uint96 leaving;
    uint48 readyAt;
    uint48 lockedThrough;
    uint96 locked;
    bytes32 peerIdHash;
}

/// @notice Whose a hot key is, and when it was in force: from its first block and second on, up to but not including
/// its last ones. A last block of zero: still in force. A key serves one operator, once.
struct HotKey {
    address operator;
    uint48 fromBlock;
    uint48 fromTime;
    uint48 untilBlock;
    uint48 untilTime;
}

/// @title The registry of operators and their stake
/// @notice The `verifyingContract` of everything that operators sign. An operator is an account that registered here;
/// it says which hot key signs for it and which peer it is, and stakes. Active stake are its votes (ERC-5805, clock in
/// seconds), always its own: nobody delegates. Stake leaves by a request and 21 days; until it is paid out the court can
/// take of it. Nothing here can be paused, and nobody owns it.
///
/// P2  The balance is at least the sum of active stake, leaving stake and escrow.
/// P3  Leaving stake can be slashed until it is paid out.
/// P4  The votes of an operator are its active stake.
/// P5  Exits cannot be paused: the one thing that delays a request is the operator's own check-in, by a bounded time.
interface INodeStaking {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice An amount that must not be zero is.
    error ZeroAmount();
    /// @notice A peer id's hash of zero.
    error ZeroPeerId();
    /// @notice The account is an operator already.
    error AlreadyRegistered();
    /// @notice The account is not an operator, nor the hot key in force of one where that would do.
    error NotRegistered(address account);
    /// @notice The key is or was a hot key, or is another operator's account; or the account is someone's hot key.
    error KeyInUse(address key);
    /// @notice The hot key did not sign its binding to this operator.
    error NotBound(address key);
    /// @notice Not a strict signature: not 65 bytes, v not 27 or 28, s in the upper half, or nobody's.
    error BadSignature();
    /// @notice The signature is not by the operator's hot key that was in force at that block and time.
    error KeyNotInForce(address operator, address key);
    /// @notice P4: votes follow the stake; they are not delegated.
    error DelegationIsFixed();
    /// @notice More is to leave than is active and not locked.
    error InsufficientStake(uint256 available, uint256 wanted);
    /// @notice There is nothing on its way out.
    error NothingLeaving();
    /// @notice The stake is not ready to be paid out yet.
    error TooEarly(uint256 readyAt);
    /// @notice A lock further into the future than is allowed.
    error LockTooLong(uint256 throughBlock);
    /// @notice The caller is not the execution ledger.
    error NotLedger();
    /// @notice The caller is not the slashing court.
    error NotCourt();

    /// @notice An account became an operator.
    event Registered(address indexed operator);
    /// @notice From this block on, `hotKey` signs for the operator, and `previous` no more.
    event HotKeySet(address indexed operator, address indexed hotKey, address indexed previous);
    /// @notice The operator's node is this peer.
    event PeerIdSet(address indexed operator, bytes32 peerIdHash);
    /// @notice The operator added to its active stake.
    event Staked(address indexed operator, uint256 amount);
    /// @notice This much of the active stake is leaving; all that is leaving can be paid out from `readyAt` on.
    event UnstakingRequested(address indexed operator, uint256 amount, uint256 readyAt);
    /// @notice Stake was paid out.
    event Unstaked(address indexed operator, uint256 amount);
    /// @notice Active stake is kept from leaving through a block.
    event Locked(address indexed operator, uint256 amount, uint256 throughBlock);
    /// @notice Stake went into escrow.
    event Slashed(address indexed operator, uint256 fromActive, uint256 fromLeaving);
    /// @notice Escrow went back to the operator's active stake.
    event Restored(address indexed operator, uint256 amount);
    /// @notice Escrow ended: the reporter was paid, the rest burned.
    event EscrowEnded(address indexed reporter, uint256 reward, uint256 burned);

    /// @notice Become an operator.
    /// @param hotKey Signs for the caller from now on.
    /// @param peerIdHash Keccak-256 of the libp2p peer id.
    /// @param binding The hot key's signature over `HotKeyBinding(address operator)`: nobody takes another's key.
    function register(address hotKey, bytes32 peerIdHash, bytes calldata binding) external;

    /// @notice Put another hot key in force, for statements of this block and later; the former one never is again.
    function setHotKey(address hotKey, bytes calldata binding) external;

    /// @notice Say which peer the caller's node is.
    function setPeerId(bytes32 peerIdHash) external;

    /// @notice Add to the caller's active stake.
    function stake(uint256 amount) external;

    /// @notice Let active stake leave, to be paid out in `UNBONDING` seconds. What was leaving already waits with it.
    function requestUnstake(uint256 amount) external;

    /// @notice Pay out to the caller what was leaving.
    function completeUnstake() external;

    /// @notice Keep the operator's active stake from leaving, through a block. Only the ledger, when it checks in.
    /// @return weight The active stake.
    function lock(address operator, uint256 throughBlock) external returns (uint96 weight);

    /// @notice Move stake of an operator into escrow: active stake first, then leaving. Only the court.
    function slash(address operator, uint256 amount) external;

    /// @notice Give escrow back to the operator, as active stake. Only the court.
    function restore(address operator, uint256 amount) external;

    /// @notice End an escrow: pay the reporter, burn the rest. Only the court.
    function endEscrow(address reporter, uint256 reward, uint256 burned) external;

    /// @notice Refuse unless the operator's hot key in force at that block and time signed the struct.
    /// @return digest What was signed: for an order, its order hash.
    function requireSigned(
        address operator,
        bytes32 structHash,
        bytes calldata signature,
        uint256 blockNumber,
        uint256 timestamp
    ) external view returns (bytes32 digest);

    /// @notice The operator whose account or hot key in force this is. Refuses all others.
    function operatorOf(address account) external view returns (address operator);

    /// @notice An operator as it stands; all zero if there is none.
    function operatorAt(address operator) external view returns (Operator memory);

    /// @notice A hot key, present or past.
    function hotKeyAt(address key) external view returns (HotKey memory);

    /// @notice All that is in escrow.
    function escrow() external view returns (uint256);

    /// @notice EIP-712's domain separator of everything that operators sign.
    function domainSeparator() external view returns (bytes32);

    /// @notice Seconds between the last request and the payment.
    function UNBONDING() external view returns (uint48);

    /// @notice The most blocks that a lock may last.
    function MAX_LOCK_BLOCKS() external view returns (uint256);

    /// @notice The token that is staked.
    function TOKEN() external view returns (address);

    /// @notice The one contract that slashes.
    function COURT() external view returns (address);

    /// @notice The one contract that locks.
    function LEDGER() external view returns (address);
}
