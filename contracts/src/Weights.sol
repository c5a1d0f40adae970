// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILedger} from "./Interfaces.sol";
import {
    AlreadyCommitted,
    AlreadyRevealed,
    NotCommitted,
    NotValidator,
    TooEarly,
    WrongOpening,
    WrongPeriod
} from "./Refusals.sol";

/// @title Weights: what validators think of miners, hidden while it could be copied
/// @notice A validator commits to a weight matrix in an epoch and reveals it after the epoch's end; the matrix stays off the chain
/// under its hash or comes in the event. Consensus over it is computed off the chain (docs/spec/consensus.md).
contract Weights {
    struct Paper {
        bytes32 commitment;
        bytes32 weights;
    }

    event Committed(uint64 indexed epoch, address indexed validator, bytes32 commitment);
    event Revealed(uint64 indexed epoch, address indexed validator, bytes32 weights, bytes content);

    ILedger public immutable ledger;
    /// @notice Seconds of an epoch.
    uint64 public immutable epochLength;
    mapping(uint64 epoch => mapping(address validator => Paper)) public papers;

    constructor(ILedger ledger_, uint64 epochLength_) {
        if (epochLength_ == 0) revert WrongPeriod();
        (ledger, epochLength) = (ledger_, epochLength_);
    }

    /// @notice Commit to the caller's weights of an epoch that is going on.
    /// @param commitment keccak256(abi.encode(epoch, validator, salt, sha256(content))).
    function commit(uint64 epoch, bytes32 commitment) external {
        address[] memory list = new address[](1);
        list[0] = msg.sender;
        if (ledger.votesOf(list)[0] == 0) revert NotValidator();
        if (epoch != block.timestamp / epochLength) revert WrongPeriod();
        if (papers[epoch][msg.sender].commitment != 0) revert AlreadyCommitted();
        papers[epoch][msg.sender].commitment = commitment;
        emit Committed(epoch, msg.sender, commitment);
    }

    /// @notice Reveal the caller's weights within the epoch after; `content` may be empty, then it is off the chain.
    function reveal(uint64 epoch, bytes32 salt, bytes32 weights, bytes calldata content) external {
        uint256 present = block.timestamp / epochLength;
        if (present <= epoch) revert TooEarly();
        if (present > uint256(epoch) + 1) revert WrongPeriod();
        Paper storage paper = papers[epoch][msg.sender];
        if (paper.commitment == 0) revert NotCommitted();
        if (paper.weights != 0) revert AlreadyRevealed();
        if (content.length > 0 && sha256(content) != weights) revert WrongOpening();
        if (keccak256(abi.encode(epoch, msg.sender, salt, weights)) != paper.commitment) revert WrongOpening();
        paper.weights = weights;
        emit Revealed(epoch, msg.sender, weights, content);
    }
}
