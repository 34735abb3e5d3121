// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ArbExecutor} from "../../src/ArbExecutor.sol";
import {ExecutorBindings} from "../../src/interfaces/IArbExecutor.sol";
import {Change, ChangeKind} from "../../src/interfaces/IVaultModule.sol";
import {Order} from "../../src/libraries/Statements.sol";
import {LeadersNetwork} from "./LeadersNetwork.sol";
import {Header} from "./Plans.sol";
import {WorldTest} from "./WorldTest.sol";

/// @title The world with a network beside it: the vault's hot key is the leader's, and the executor is admitted
abstract contract OrdersWorld is WorldTest {
    uint8 private constant NETWORK = 0x10;
    uint32 private constant FIRST_ENTRY = 0;

    LeadersNetwork internal network;
    address internal key;

    function setUp() public virtual override {
        super.setUp();
        network = new LeadersNetwork();
        network.begin();
        key = network.leadersKey();
        ExecutorBindings memory bindings = _bindings();
        bindings.ledger = network.ledgerAddress();
        executor = new ArbExecutor(bindings);
        network.admit(address(executor));
        _loosen(Change(ChangeKind.Executor, address(executor), 0));
        _loosen(_newOperator(key));
    }

    /// A plan with a finder's order: it stands after the header, and its block is the header's.
    function _ordered(Header memory header, Order memory order, bytes memory signature, bytes memory hops)
        internal
        pure
        returns (bytes memory)
    {
        uint8 what = NETWORK | header.source;
        bytes memory head =
            abi.encodePacked(what, uint40(order.targetBlock), header.borrowed, header.minimumProfit, header.bid);
        bytes memory people = abi.encodePacked(order.finder, order.executor, order.payTo);
        bytes memory terms =
            abi.encodePacked(order.finderBps, order.minFinderWei, order.primaryKey, order.routeCommit, FIRST_ENTRY);
        return abi.encodePacked(head, people, terms, signature, hops);
    }
}
