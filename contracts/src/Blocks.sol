// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILedger} from "./Interfaces.sol";
import {CommitmentUsed, Duplicate, Malformed, NoCommitment, NotAllowed, Oversized, WrongOpening, WrongTopic} from "./Refusals.sol";
import {Text} from "./Text.sol";

/// @title Blocks: modules from their commitment to the model block that an accepted one becomes
/// @notice docs/spec/ledger.md, sections 4 and 6. Which standing blocks are crowned follows from what is here and is no
/// money, so it is left to readers.
abstract contract Blocks {
    enum Status {
        None,
        Open,
        Accepted,
        Refused,
        Invalid,
        Undecided
    }

    struct Terms {
        uint96 bond;
        uint96 fee;
        uint64 revealWindow;
        uint64 reportWindow;
        uint64 reportReveal;
        uint64 submissionExpiry;
        uint64 maxAge;
        int64 dropLogE;
    }

    struct Topic {
        uint24 number;
        uint32 submissions;
    }

    /// @notice Who holds the bond, nobody once it is revealed; it stays until `revealBy`. `place` is that in the queue, from 1.
    struct Commitment {
        address committer;
        uint40 revealBy;
        uint24 topic;
        uint32 place;
    }

    struct Submission {
        address miner;
        uint32 topic;
        uint32 k;
        Status status;
        address committer;
        uint40 time;
    }

    struct Block {
        bytes32 parent;
        bytes32 pipelineId;
        int64 specific;
        int64 generalized;
        int64 logE;
        uint32 evidenceDay;
        uint40 time;
        uint64 number;
        int64 evidenceDays;
        bool dropped;
    }

    /// @notice A submission has its outcome.
    event Settled(bytes32 indexed blockHash, Status status);
    /// @notice An accepted module became a model block.
    event Minted(bytes32 indexed blockHash, bytes32 parent, uint64 number, address indexed miner, int64 specific, int64 generalized);
    /// @notice A model block does not stand any more.
    event Dropped(bytes32 indexed blockHash);

    uint64 internal constant NEVER = type(uint64).max;
    uint256 private constant MAX_SOURCE = 65_536;
    bytes32 private constant COMMIT = keccak256("Commit(address author,uint256 nonce,string topic,bytes32 commitment)");
    bytes32 private constant REVEAL = keccak256(
        "Reveal(address author,uint256 nonce,bytes32 commitment,bytes32 salt,string topic,bytes32 source)"
    );

    ILedger public immutable ledger;
    uint96 public immutable bond;
    uint96 public immutable fee;
    uint64 public immutable revealWindow;
    uint64 public immutable maxAge;
    int64 public immutable dropLogE;

    /// @notice Hash of the newest model block; 0 before the first, whose parent is the genesis.
    bytes32 public lastBlock;
    mapping(bytes32 nameHash => Topic) public topics;
    mapping(bytes32 blockHash => Submission) public submissions;
    mapping(bytes32 blockHash => Block) public blocks;
    /// @notice The standing block of a pipeline.
    mapping(bytes32 pipelineId => bytes32 blockHash) public standing;

    uint24 private _topics;
    uint64 private _nextForfeit;
    uint64 private _nextAge;
    mapping(bytes32 commitment => Commitment) private _commitments;
    /// Commitments in the order they fall due.
    bytes32[] private _forfeits;
    bytes32[] private _minted;

    modifier onlyLedger() {
        if (msg.sender != address(ledger)) revert NotAllowed();
        _;
    }

    constructor(ILedger ledger_, Terms memory terms) {
        ledger = ledger_;
        (bond, fee, revealWindow) = (terms.bond, terms.fee, terms.revealWindow);
        (maxAge, dropLogE) = (terms.maxAge, terms.dropLogE);
    }

    /// @notice Hold the author's bond for a hidden module.
    /// @param commitment keccak256(abi.encode(blockHash, miner, salt)); only that miner can open it.
    function commit(
        address author,
        uint256 nonce,
        string calldata topic,
        bytes32 commitment,
        bytes calldata signature
    ) external {
        if (!Text.isSlug(topic)) revert Malformed();
        bytes32 name = keccak256(bytes(topic));
        bytes32 structHash = keccak256(abi.encode(COMMIT, author, nonce, name, commitment));
        ledger.record("commit", author, nonce, msg.sender, structHash, abi.encode(topic, commitment), signature);
        if (_commitments[commitment].committer != address(0)) revert CommitmentUsed();
        ledger.charge(author, bond);
        uint40 due = uint40(block.timestamp + revealWindow);
        uint24 number = topics[name].number;
        if (number == 0) {
            number = ++_topics;
            topics[name].number = number;
        }
        _forfeits.push(commitment);
        _commitments[commitment] = Commitment(author, due, number, uint32(_forfeits.length));
        ledger.remind(due);
    }

    /// @notice Make a module public, number it and open its ballot.
    /// @param blockHash The sha256 of the module.
    /// @param source The module's text, UTF-8; or nothing: then it lies off the chain under its hash, and who keeps it back is judged
    /// as if it were no module.
    function reveal(
        address author,
        uint256 nonce,
        bytes32 commitment,
        bytes32 salt,
        string calldata topic,
        bytes32 blockHash,
        bytes calldata source,
        bytes calldata signature
    ) external {
        if (source.length > MAX_SOURCE) revert Oversized();
        if (source.length > 0 && (sha256(source) != blockHash || !Text.isUtf8(source))) revert Malformed();
        {
            bytes32 structHash =
                keccak256(abi.encode(REVEAL, author, nonce, commitment, salt, keccak256(bytes(topic)), blockHash));
            bytes memory body = abi.encode(commitment, salt, topic, blockHash, source);
            ledger.record("reveal", author, nonce, msg.sender, structHash, body, signature);
        }
        Commitment memory hidden = _commitments[commitment];
        if (hidden.committer == address(0)) revert NoCommitment();
        if (keccak256(abi.encode(blockHash, author, salt)) != commitment) revert WrongOpening();
        Topic storage place = topics[keccak256(bytes(topic))];
        if (place.number != hidden.topic) revert WrongTopic();
        Status before = submissions[blockHash].status;
        if (before != Status.None && before != Status.Undecided) revert Duplicate();
        ledger.charge(author, fee);
        _commitments[commitment].committer = address(0);
        submissions[blockHash] = Submission(
            author, hidden.topic, ++place.submissions, Status.Open, hidden.committer, uint40(block.timestamp)
        );
        _openScreen(blockHash);
    }

    /// @notice What is known of a commitment: who paid the bond (nobody once it is revealed), until when it can be opened, number of
    /// the topic, place in the queue.
    function commitmentOf(bytes32 commitment) external view returns (Commitment memory) {
        return _commitments[commitment];
    }

    /// @notice How many model blocks were minted.
    function blockCount() external view returns (uint256) {
        return _minted.length;
    }

    /// @notice The hash of a model block by its number, from 1.
    function blockAt(uint256 number) external view returns (bytes32) {
        return _minted[number - 1];
    }

    function _openScreen(bytes32 blockHash) internal virtual;

    /// End a submission: pay bond and fee where they belong, and mint the model block of an accepted one.
    function _settle(bytes32 blockHash, Status outcome, bytes32 pipelineId, int64 specific, int64 generalized) internal {
        Submission storage one = submissions[blockHash];
        if (outcome == Status.Accepted && standing[pipelineId] != 0) outcome = Status.Invalid;
        one.status = outcome;
        emit Settled(blockHash, outcome);
        if (outcome == Status.Accepted) _mintBlock(blockHash, one.miner, pipelineId, specific, generalized);
        if (outcome == Status.Invalid) ledger.toPool(bond);
        else ledger.pay(one.committer, bond);
        if (outcome == Status.Undecided) ledger.pay(one.miner, fee);
        else ledger.toPool(fee);
    }

    /// Set the evidence of a standing block up to `day`; older evidence than there is changes nothing.
    function _takeEvidence(bytes32 blockHash, uint32 day, int64 logE, int64 evidenceDays) internal {
        Block storage one = blocks[blockHash];
        if (one.dropped || day <= one.evidenceDay) return;
        (one.logE, one.evidenceDay, one.evidenceDays) = (logE, day, evidenceDays);
        if (logE <= dropLogE) _drop(blockHash);
    }

    /// Take the bonds of modules that were not revealed in time, and drop blocks that have reached the maximal age.
    function _fallDue(uint256 steps) internal returns (uint256, uint64) {
        uint256 i = _nextForfeit;
        uint256 lost = 0;
        uint64 due = NEVER;
        uint256 end = _forfeits.length;
        for (; i < end; i++) {
            bytes32 entry = _forfeits[i];
            Commitment memory hidden = _commitments[entry];
            bool here = hidden.place == i + 1; // else it was revealed and made again since: nothing to wait for
            due = here ? hidden.revealBy : uint64(block.timestamp);
            if (due > block.timestamp || steps == 0) break;
            if (hidden.committer != address(0) && here) lost += bond;
            if (here) delete _commitments[entry];
            steps--;
            due = NEVER;
        }
        _nextForfeit = uint64(i);
        uint64 next = due;
        due = NEVER;
        end = _minted.length;
        for (i = _nextAge; i < end; i++) {
            bytes32 blockHash = _minted[i];
            due = uint64(blocks[blockHash].time) + maxAge;
            if (due > block.timestamp || steps == 0) break;
            if (!blocks[blockHash].dropped) _drop(blockHash);
            steps--;
            due = NEVER;
        }
        _nextAge = uint64(i);
        if (lost > 0) ledger.toPool(lost);
        return (steps, due < next ? due : next);
    }

    function _mintBlock(bytes32 blockHash, address miner, bytes32 pipelineId, int64 specific, int64 generalized) private {
        bytes32 parent = _minted.length == 0 ? ledger.salt() : lastBlock;
        _minted.push(blockHash);
        uint64 number = uint64(_minted.length);
        blocks[blockHash] = Block({
            parent: parent,
            pipelineId: pipelineId,
            specific: specific,
            generalized: generalized,
            logE: 0,
            evidenceDay: uint32(block.timestamp / 1 days),
            time: uint40(block.timestamp),
            number: number,
            evidenceDays: 0,
            dropped: false
        });
        lastBlock = blockHash;
        standing[pipelineId] = blockHash;
        emit Minted(blockHash, parent, number, miner, specific, generalized);
        ledger.remind(uint64(block.timestamp) + maxAge);
    }

    function _drop(bytes32 blockHash) private {
        blocks[blockHash].dropped = true;
        delete standing[blocks[blockHash].pipelineId];
        emit Dropped(blockHash);
    }
}
