// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../libraries/Statements.sol";

/// @notice One operator's check-in: its account, and all stake checked in up to and including its own.
struct Entry {
    address operator;
    uint96 cumulativeStake;
}

/// @notice One epoch.
/// @param seed The mixHash of its seed block, once it is rolled.
/// @param totalStake All stake that checked in.
/// @param entries How many operators checked in.
/// @param rolled Whether it has its seed.
struct Epoch {
    bytes32 seed;
    uint96 totalStake;
    uint32 entries;
    bool rolled;
}

/// @notice How epochs are cut, in blocks. Cut-off > lag, cut-off < length, lag < 256.
/// @param length Epoch E is the blocks from E·length on, before (E+1)·length.
/// @param cutOff Check-in for an epoch ends so many blocks before its start.
/// @param lag The seed block is so many blocks before its start: after check-in has ended.
struct Cut {
    uint256 length;
    uint256 cutOff;
    uint256 lag;
}

/// @notice What the ledger is bound to for ever.
/// @param staking The registry.
/// @param parameters Least stake and fee.
/// @param brake Stops network executions.
/// @param stream Gets the protocol's fee, in its token only.
/// @param governance The Timelock: says which contracts execute.
struct LedgerBindings {
    address staking;
    address parameters;
    address brake;
    address stream;
    address governance;
}

/// @title Who leads which block, and the finder's payment
/// @notice During an epoch operators check in for the next one; then a block passes that nobody knew, and its header,
/// handed in by anybody, gives the seed. r(b) = uint256(keccak256(seed, b)) mod all stake; the leader of block b is the
/// entry i with cumulative(i − 1) ≤ r(b) < cumulative(i). The caller says which i, so that the check reads four slots
/// whatever the number of operators. The backup is the leader of b + 1, in block b + 1. An epoch that was not rolled has
/// no network executions; own executions never come here.
///
/// An executor contract calls `open` before an order's route and `settle` after it, in one call of its own. It is trusted,
/// as governance's choice, for three things: it names the hot key that called it and what its route uses, and it settles
/// what it opened. All the rest is checked here.
///
/// P9   No network execution outside its block, or by another operator than that block's leader.
/// P10  None without the finder's payment: the larger of its share of the net profit and its floor.
interface IExecutionLedger {
    /// @notice An address that must not be zero is.
    error ZeroAddress();
    /// @notice Cut-off, lag and length do not fit together.
    error WrongCut();
    /// @notice The registry locks for another ledger.
    error WrongRegistry();
    /// @notice Check-in is for the next epoch only, and before its cut-off.
    error CheckInClosed(uint256 epoch);
    /// @notice The operator's active stake is below the least.
    error StakeTooSmall(uint256 stake, uint256 minimum);
    /// @notice The operator has checked in for this epoch.
    error AlreadyCheckedIn();
    /// @notice The epoch has its seed.
    error AlreadyRolled(uint256 epoch);
    /// @notice Nobody checked in: there is nobody to draw.
    error NobodyCheckedIn(uint256 epoch);
    /// @notice The seed block has not come, or is more than 8,191 blocks back.
    error SeedBlockOutOfReach(uint256 blockNumber);
    /// @notice The bytes are not the header of the seed block.
    error WrongHeader(bytes32 wanted);
    /// @notice The epoch has no seed.
    error NotRolled(uint256 epoch);
    /// @notice P9: that entry does not lead this block, or is not the order's executor.
    error NotLeader(uint256 index);
    /// @notice P9: this is not the order's block.
    error WrongBlock(uint256 targetBlock);
    /// @notice The hot key that executes is not the one of the order's executor.
    error NotTheOrdersExecutor(address operator);
    /// @notice The brake is on, for everything or for something that the execution uses.
    error Paused();
    /// @notice The execution uses something that governance has taken out of use.
    error OutOfUse();
    /// @notice The caller is not an executor contract.
    error NotExecutor();
    /// @notice The order that is open must be settled first.
    error OrderIsOpen();
    /// @notice This order was not opened by the caller in this transaction, or was settled.
    error OrderNotOpen();
    /// @notice P10: less arrived at the finder than it is due.
    error FinderUnpaid(uint256 arrived, uint256 due);
    /// @notice The caller is not the Timelock.
    error NotGovernance();

    /// @notice An operator checked in.
    event CheckedIn(uint256 indexed epoch, address indexed operator, uint256 index, uint256 cumulativeStake);
    /// @notice An epoch has its seed.
    event Rolled(uint256 indexed epoch, bytes32 seed, uint256 totalStake, uint256 entries);
    /// @notice A contract may open orders, or may no more.
    event ExecutorSet(address indexed executor, bool isExecutor);
    /// @notice A network execution: `net` of the profit token came out, `paid` went to the finder, `fee` to the stream.
    event Executed(
        bytes32 indexed orderHash,
        bytes32 indexed primaryKey,
        address indexed finder,
        address executor,
        address profitToken,
        uint256 net,
        uint256 paid,
        uint256 fee
    );

    /// @notice Take part in the next epoch: locks the operator's active stake through it. By the account or its hot key.
    function checkIn(uint256 epoch) external;

    /// @notice Give an epoch its seed: the mixHash of its seed block, out of that block's header in RLP. Anybody may.
    function roll(uint256 epoch, bytes calldata header) external;

    /// @notice Begin a network execution. Only executor contracts.
    /// @param order To be executed in this block.
    /// @param signature Of the finder's hot key in force.
    /// @param index The entry of this epoch that leads this block.
    /// @param hotKey Who calls the executor: the hot key of the order's executor.
    /// @param uses Tokens, pools, venues and lender of the route, each as the brake and governance name subjects; the
    /// profit token and the caller count anyway.
    /// @return orderHash The order's digest.
    function open(
        Order calldata order,
        bytes calldata signature,
        uint256 index,
        address hotKey,
        bytes32[] calldata uses
    ) external returns (bytes32 orderHash);

    /// @notice End it: pull the finder's payment and the fee from the caller, which allows them before.
    /// @param order The one that was opened.
    /// @param net The profit before these two, after everything else, in the profit token's smallest unit.
    function settle(Order calldata order, uint256 net) external returns (uint256 paid, uint256 fee);

    /// @notice What `settle` will pull. The finder's share is rounded up; the fee takes nothing of it.
    function dues(Order calldata order, uint256 net) external view returns (uint256 paid, uint256 fee);

    /// @notice Say whether a contract may open orders. Only governance.
    function setExecutor(address executor, bool isExecutor) external;

    /// @notice Whether a contract may open orders.
    function isExecutor(address executor) external view returns (bool);

    /// @notice The operator that leads a block. Refuses if the entry does not.
    function leaderOf(uint256 blockNumber, uint256 index) external view returns (address operator);

    /// @notice The draw r(b) of a block whose epoch is rolled.
    function drawOf(uint256 blockNumber) external view returns (uint256);

    /// @notice An epoch as it stands.
    function epochAt(uint256 epoch) external view returns (Epoch memory);

    /// @notice An epoch's entry, counted from 0.
    function entryAt(uint256 epoch, uint256 index) external view returns (Entry memory);

    /// @notice An epoch's seed block.
    function seedBlockOf(uint256 epoch) external view returns (uint256);

    /// @notice How epochs are cut.
    function cut() external view returns (Cut memory);
}
