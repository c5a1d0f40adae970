// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILedger} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Quorum} from "./Quorum.sol";
import {Claimed, Malformed, NoQuorum, WrongClaim, WrongParent, WrongPeriod, WrongRewards} from "./Refusals.sol";
import {Text} from "./Text.sol";

/// @title Heads: what the network says every ten minutes, and the payment of what was earned under it
/// @notice docs/spec/ledger.md, section 7, and docs/spec/head.md. A HEAD is stamped by anybody once validators with more than
/// two thirds of the stake signed it. The contract writes the HEAD's JSON itself, so what it keeps of it is what they signed.
contract Heads is Quorum {
    /// @notice A HEAD without its list of models.
    struct Head {
        uint64 period;
        uint64 height;
        bytes32 parent;
        bytes32 ledger;
        bytes32 dataRoot;
        bytes32 modelsRoot;
        bytes32 predictionsRoot;
        uint64 predictionCount;
        bytes32 rewardsRoot;
        uint64 rewardAccounts;
        uint128 rewardTotal;
    }

    /// @notice The newest HEAD, as far as claims and the next one need it. All 0 before the first.
    struct Stamp {
        bytes32 head;
        bytes32 rewardsRoot;
        uint128 rewardTotal;
        uint40 rewardAccounts;
        uint40 period;
        uint48 readHeight;
    }

    /// @notice Network inferences in the order of the predictions' tree, nanos, eight bytes each, big end first.
    /// @param series keccak256 of the canonical JSON of the list of `[topic,type,broker,symbol]` in the same order.
    event Values(uint64 indexed period, bytes32 indexed series, bytes values);

    uint256 private constant PERIOD = 600;
    bytes32 private constant HEAD = keccak256("Head(uint256 period,bytes32 head)");
    bytes32 private constant HEAD_VALUES =
        keccak256("HeadValues(uint256 period,bytes32 head,bytes32 series,bytes32 values)");
    bytes32 private constant CLAIM = keccak256("Claim(address author,uint256 nonce,uint256 total,bytes32 proof)");

    /// @notice The period of the genesis.
    uint64 public immutable firstPeriod;

    /// @notice The newest HEAD.
    Stamp public stamped;
    /// @notice Wei paid to each account so far.
    mapping(address account => uint256) public claimed;
    /// @notice Whose values are in {slots}: the series, and the period they were written in.
    bytes32 public series;
    uint64 public valuesPeriod;
    /// @notice Values, four in a word, the first in the highest bits; overwritten by every HEAD that is stamped with `keep`.
    mapping(uint256 place => uint256) public slots;

    constructor(ILedger ledger_, uint64 firstPeriod_) Quorum(ledger_) {
        firstPeriod = firstPeriod_;
    }

    // ---------------------------------------------------------------------------------------------------------- events

    /// @notice Put a HEAD on the newest one. The caller is the event's author and signs nothing else: the quorum counts.
    /// @param topics The JSON of the HEAD's `topics`.
    /// @param signatures Of `Head(period, head)`, as {Quorum} wants them.
    function stamp(uint256 nonce, Head calldata head, string calldata topics, bytes calldata signatures) external {
        bytes32 hash = hashOf(head, topics);
        _stamp(nonce, head, hash, _signers(keccak256(abi.encode(HEAD, head.period, hash)), signatures));
    }

    /// @notice Put a HEAD on the newest one together with its values, for feeds.
    /// @param signatures Of `HeadValues(period, head, series, keccak256(values))`, as {Quorum} wants them.
    /// @param keep Whether the values are stored, so that contracts can read them.
    function stampValues(
        uint256 nonce,
        Head calldata head,
        string calldata topics,
        bytes32 series_,
        bytes calldata values,
        bool keep,
        bytes calldata signatures
    ) external {
        if (values.length != 8 * uint256(head.predictionCount)) revert Malformed();
        bytes32 hash = hashOf(head, topics);
        bytes32 signed = keccak256(abi.encode(HEAD_VALUES, head.period, hash, series_, keccak256(values)));
        _stamp(nonce, head, hash, _signers(signed, signatures));
        emit Values(head.period, series_, values);
        if (keep) {
            (series, valuesPeriod) = (series_, head.period);
            for (uint256 i = 0; 32 * i < values.length; i++) {
                uint256 end = 32 * i + 32;
                slots[i] = uint256(bytes32(end <= values.length ? values[32 * i:end] : values[32 * i:]));
            }
        }
    }

    /// @notice Pay the author what it has earned under the newest HEAD and has not been paid yet.
    /// @param total Wei earned since the genesis.
    /// @param index Place of the leaf `abi.encode(author, total)` in the tree.
    /// @param size Leaves of the tree.
    /// @param path Siblings, lowest first.
    function claim(
        address author,
        uint256 nonce,
        uint256 total,
        uint256 index,
        uint256 size,
        bytes32[] calldata path,
        bytes calldata signature
    ) external {
        if (total == 0 || size == 0 || size > 2 ** 32 || index >= size || path.length > 32) revert Malformed();
        uint256 before = claimed[author];
        bool holds = size == stamped.rewardAccounts && total >= before
            && Merkle.verify(stamped.rewardsRoot, size, abi.encode(author, total), index, path);
        bytes32 structHash = signature.length == 0
            ? bytes32(0)
            : keccak256(abi.encode(CLAIM, author, nonce, total, sha256(Text.proof(index, size, path))));
        bytes memory body = abi.encode(total, index, size, path);
        claimed[author] = total;
        ledger.recordClaim(author, nonce, msg.sender, structHash, holds ? total - before : 0, body, signature);
        if (!holds) revert WrongClaim();
        if (total == before) revert Claimed();
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @notice The sha256 of a HEAD's canonical JSON.
    function hashOf(Head calldata head, string calldata topics) public pure returns (bytes32) {
        bytes memory text = new bytes(1024 + bytes(topics).length);
        uint256 place = Text.start(text);
        place = Text.put(place, '{"data_root":"', 14);
        place = Text.putHex(place, head.dataRoot);
        place = Text.put(place, '","height":', 11);
        place = Text.putNumber(place, head.height);
        place = Text.put(place, ',"ledger":"', 11);
        place = Text.putHex(place, head.ledger);
        place = Text.put(place, '","models_root":"', 17);
        place = Text.putHex(place, head.modelsRoot);
        place = Text.put(place, '","parent":"', 12);
        place = Text.putHex(place, head.parent);
        place = Text.put(place, '","period":', 11);
        place = Text.putNumber(place, head.period);
        place = Text.put(place, ',"prediction_count":', 20);
        place = Text.putNumber(place, head.predictionCount);
        place = Text.put(place, ',"predictions_root":"', 21);
        place = Text.putHex(place, head.predictionsRoot);
        place = Text.put(place, '","reward_accounts":', 20);
        place = Text.putNumber(place, head.rewardAccounts);
        place = Text.put(place, ',"reward_total":', 16);
        place = Text.putNumber(place, head.rewardTotal);
        place = Text.put(place, ',"rewards_root":"', 17);
        place = Text.putHex(place, head.rewardsRoot);
        place = Text.put(place, '","topics":', 11);
        place = Text.putText(place, topics);
        place = Text.put(place, ',"version":1}', 13);
        Text.cut(text, place);
        return sha256(text);
    }

    /// @notice Whether `leaf`, the canonical JSON of a prediction, is under the newest HEAD.
    function verifyPrediction(
        Head calldata head,
        string calldata topics,
        bytes calldata leaf,
        uint256 index,
        bytes32[] calldata path
    ) external view returns (bool) {
        return hashOf(head, topics) == stamped.head
            && Merkle.verify(head.predictionsRoot, head.predictionCount, leaf, index, path);
    }

    /// @notice A stored value, nanos, and the period it is of.
    function valueAt(uint256 index) external view returns (int64 value, uint64 period) {
        return (int64(uint64(slots[index / 4] >> (192 - 64 * (index % 4)))), valuesPeriod);
    }

    // --------------------------------------------------------------------------------------------------------- private

    function _stamp(uint256 nonce, Head calldata head, bytes32 hash, address[] memory signers) private {
        (uint64 height, bool quorum) = ledger.recordStamp(msg.sender, nonce, hash, signers);
        if ((head.predictionCount == 0) != (head.predictionsRoot == Merkle.EMPTY)) revert Malformed();
        if ((head.rewardAccounts == 0) != (head.rewardsRoot == Merkle.EMPTY)) revert Malformed();
        if (head.predictionCount > 2 ** 32 || head.rewardAccounts > 2 ** 32) revert Malformed();
        Stamp memory before = stamped;
        bool begun = before.head != 0;
        if (head.parent != (begun ? before.head : salt)) revert WrongParent();
        if (head.period < (begun ? before.period + 1 : firstPeriod)) revert WrongPeriod();
        if (uint256(head.period) * PERIOD > block.timestamp) revert WrongPeriod();
        if (head.height < before.readHeight || head.height >= height) revert WrongPeriod();
        if (head.rewardTotal < before.rewardTotal || head.rewardAccounts < before.rewardAccounts) revert WrongRewards();
        if (!quorum) revert NoQuorum();
        stamped.head = hash;
        if (head.rewardsRoot != before.rewardsRoot) stamped.rewardsRoot = head.rewardsRoot;
        stamped.rewardTotal = head.rewardTotal;
        stamped.rewardAccounts = uint40(head.rewardAccounts);
        stamped.period = uint40(head.period);
        stamped.readHeight = uint48(head.height);
        uint256 earned = head.rewardTotal - before.rewardTotal;
        if (earned > 0) ledger.reward(head.period, earned);
    }
}
