// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {ILedger} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Malformed, NoQuorum, NotAllowed, WrongParent, WrongPeriod, WrongRewards} from "./Refusals.sol";
import {Text} from "./Text.sol";

/// @title Heads: what the network says every ten minutes, and the payment of what was earned under it
/// @notice docs/spec/ledger.md, section 7, and docs/spec/head.md. A HEAD is stamped by anybody once validators with more than
/// two thirds of the stake signed it. Either the contract writes the HEAD's JSON itself, so what it keeps of it is what they
/// signed; or they signed what it keeps.
contract Heads {
    /// @notice A HEAD without its topics, and without the root of its models and the number of its predictions, which follow from topics
    /// and values where they come with it.
    struct Head {
        uint256 period;
        uint256 height;
        bytes32 parent;
        bytes32 ledger;
        bytes32 dataRoot;
        bytes32 predictionsRoot;
        bytes32 rewardsRoot;
        uint256 rewardAccounts;
        uint256 rewardTotal;
    }

    /// @notice The newest HEAD, as far as claims and the next one need it, in two slots, the first of which every HEAD writes. Of
    /// hashes the first 20 bytes are kept, as of a key in an address. All 0 before the first.
    /// @param claims Of {earned}, to see whether a HEAD changes it.
    struct Stamp {
        bytes20 head;
        uint32 period;
        uint32 readHeight;
        uint32 rewardAccounts;
        bytes20 claims;
        uint96 rewardTotal;
    }

    uint256 private constant PERIOD = 600;
    bytes32 private constant HEAD = keccak256("Head(uint256 period,bytes32 head)");
    bytes32 private constant HEAD_VALUES = keccak256(
        "HeadValues(uint256 period,uint256 height,bytes32 parent,bytes32 ledger,bytes32 data_root,bytes32 predictions_root,"
        "bytes32 rewards_root,uint256 reward_accounts,uint256 reward_total,bytes32 topics,bytes32 said)"
    );
    bytes32 private constant CLAIM = keccak256("Claim(address author,uint256 nonce,uint256 total,bytes32 proof)");

    ILedger public immutable ledger;
    bytes32 private immutable salt;
    /// @notice The period of the genesis.
    uint64 public immutable firstPeriod;

    /// @notice The newest HEAD.
    Stamp public stamped;
    /// @notice keccak256(abi.encode(rewardsRoot, rewardAccounts)) of the newest HEAD, whole: it pays, and whoever earns has a say in
    /// both roots of a collision.
    bytes32 public earned;
    /// @notice Whose values are in {slots}: the series, and the period they were written in.
    bytes32 public series;
    uint64 public valuesPeriod;
    /// @notice Values, four in a word, the first in the highest bits; overwritten by {stampFeeds}.
    mapping(uint256 place => uint256) public slots;

    /// The caller is an account without code and sent this very call, so that the transaction's data is the call's.
    modifier onlyDirect() {
        if (msg.sender != tx.origin) revert NotAllowed();
        if (msg.sender.code.length > 0) revert NotAllowed();
        _;
    }

    constructor(ILedger ledger_, uint64 firstPeriod_) {
        (ledger, salt, firstPeriod) = (ledger_, ledger_.salt(), firstPeriod_);
    }

    // ---------------------------------------------------------------------------------------------------------- events

    /// @notice Put a HEAD on the newest one. The caller is the event's author and signs nothing else: the quorum counts. It must be
    /// an account without code that calls directly, because readers find text and signatures in the transaction's data.
    /// @param topics The JSON of the HEAD's `topics`.
    /// @param signatures Of `Head(period, head)`, as {ILedger-isQuorum} wants them.
    function stamp(
        uint256 nonce,
        Head calldata head,
        bytes32 modelsRoot,
        uint256 predictionCount,
        string calldata topics,
        bytes calldata signatures
    ) external onlyDirect {
        bytes32 hash = hashOf(head, modelsRoot, predictionCount, topics);
        bytes32 structHash = keccak256(abi.encode(HEAD, head.period, hash));
        (uint256 height, bool quorum) = ledger.recordStamp(msg.sender, nonce, structHash, abi.encode(hash), signatures);
        _put(head, predictionCount, hash, height, quorum);
    }

    /// @notice Put a HEAD on the newest one together with its values. That the hash is the one of these fields and topics is what its
    /// signers say; readers check it.
    /// @param said What is logged: the HEAD's hash, the series and the values. The series are named by keccak256 of the canonical JSON
    /// of the list of `[topic,type,broker,symbol]` in the order of the predictions' tree. Values are network inferences in that
    /// order, nanos, eight bytes each, big end first: n as 2 n, and -n as 2 n - 1, so that small ones begin with zeros.
    /// @param signatures Of `HeadValues`: the fields, keccak256 of the topics, keccak256 of `said`; as {ILedger-isQuorum} wants them.
    function stampValues(
        uint256 nonce,
        Head calldata head,
        string calldata topics,
        bytes calldata said,
        bytes calldata signatures
    ) external onlyDirect {
        _stampValues(nonce, head, topics, said, signatures);
    }

    /// @notice The same, and keep the values where feeds read them.
    function stampFeeds(
        uint256 nonce,
        Head calldata head,
        string calldata topics,
        bytes calldata said,
        bytes calldata signatures
    ) external onlyDirect {
        _stampValues(nonce, head, topics, said, signatures);
        bytes calldata values = said[64:];
        (series, valuesPeriod) = (bytes32(said[32:]), uint64(head.period));
        for (uint256 i = 0; 32 * i < values.length; i++) {
            uint256 end = 32 * i + 32;
            slots[i] = uint256(bytes32(end <= values.length ? values[32 * i:end] : values[32 * i:]));
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
        (bool fits, bytes32 root) = Merkle.rootOf(size, abi.encode(author, total), index, path);
        bool proven = fits && _earned(root, size) == earned;
        bytes32 structHash = signature.length == 0
            ? bytes32(0)
            : keccak256(abi.encode(CLAIM, author, nonce, total, sha256(Text.proof(index, size, path))));
        bytes memory body = abi.encode(total, index, size, path);
        ledger.recordClaim(author, nonce, msg.sender, structHash, total, proven, body, signature);
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @notice The sha256 of a HEAD's canonical JSON.
    function hashOf(Head calldata head, bytes32 modelsRoot, uint256 predictionCount, string calldata topics)
        public
        pure
        returns (bytes32)
    {
        // 578 bytes without topics and the five numbers, which have 78 digits at most
        bytes memory text = new bytes(1280 + bytes(topics).length);
        uint256 place = Text.start(text);
        place = Text.put(place, '{"data_root":"', 14);
        place = Text.putHex(place, head.dataRoot);
        place = Text.put(place, '","height":', 11);
        place = Text.putNumber(place, head.height);
        place = Text.put(place, ',"ledger":"', 11);
        place = Text.putHex(place, head.ledger);
        place = Text.put(place, '","models_root":"', 17);
        place = Text.putHex(place, modelsRoot);
        place = Text.put(place, '","parent":"', 12);
        place = Text.putHex(place, head.parent);
        place = Text.put(place, '","period":', 11);
        place = Text.putNumber(place, head.period);
        place = Text.put(place, ',"prediction_count":', 20);
        place = Text.putNumber(place, predictionCount);
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
        bytes32 modelsRoot,
        uint256 predictionCount,
        string calldata topics,
        bytes calldata leaf,
        uint256 index,
        bytes32[] calldata path
    ) external view returns (bool) {
        return bytes20(hashOf(head, modelsRoot, predictionCount, topics)) == stamped.head
            && Merkle.verify(head.predictionsRoot, predictionCount, leaf, index, path);
    }

    /// @notice A stored value, nanos, and the period it is of.
    function valueAt(uint256 index) external view returns (int64 value, uint64 period) {
        uint64 coded = uint64(slots[index / 4] >> (192 - 64 * (index % 4)));
        value = int64(coded >> 1);
        return (coded & 1 == 0 ? value : -value - 1, valuesPeriod);
    }

    // --------------------------------------------------------------------------------------------------------- private

    function _stampValues(
        uint256 nonce,
        Head calldata head,
        string calldata topics,
        bytes calldata said,
        bytes calldata signatures
    ) private {
        if (said.length < 64) revert Malformed();
        if (said.length % 8 != 0) revert Malformed();
        bytes32 structHash = keccak256(abi.encode(HEAD_VALUES, head, Text.keccak(bytes(topics)), Text.keccak(said)));
        (uint256 height, bool quorum) = ledger.recordStamp(msg.sender, nonce, structHash, said, signatures);
        _put(head, (said.length - 64) / 8, bytes32(said), height, quorum);
    }

    /// Put a recorded HEAD on the newest one.
    function _put(Head calldata head, uint256 predictionCount, bytes32 hash, uint256 height, bool quorum) private {
        if ((predictionCount == 0) != (head.predictionsRoot == Merkle.EMPTY)) revert Malformed();
        if ((head.rewardAccounts == 0) != (head.rewardsRoot == Merkle.EMPTY)) revert Malformed();
        if (predictionCount > 2 ** 32) revert Malformed();
        if (head.rewardAccounts >= 2 ** 32) revert Malformed();
        bytes20 parent = stamped.head;
        if (parent == 0) {
            if (head.parent != salt) revert WrongParent();
            if (head.period < firstPeriod) revert WrongPeriod();
        } else {
            if (bytes20(head.parent) != parent) revert WrongParent();
            if (head.period <= stamped.period) revert WrongPeriod();
        }
        if (head.period > block.timestamp / PERIOD) revert WrongPeriod();
        if (head.height < stamped.readHeight) revert WrongPeriod();
        if (head.height >= height) revert WrongPeriod();
        uint256 before = stamped.rewardTotal;
        if (head.rewardTotal < before) revert WrongRewards();
        if (head.rewardTotal > type(uint96).max) revert WrongRewards();
        if (head.rewardAccounts < stamped.rewardAccounts) revert WrongRewards();
        if (!quorum) revert NoQuorum();
        bytes32 claims = _earned(head.rewardsRoot, head.rewardAccounts);
        bool same = bytes20(claims) == stamped.claims && head.rewardTotal == before;
        stamped.head = bytes20(hash);
        stamped.period = uint32(head.period);
        stamped.readHeight = uint32(head.height);
        stamped.rewardAccounts = uint32(head.rewardAccounts);
        if (same) return;
        stamped.claims = bytes20(claims);
        earned = claims;
        stamped.rewardTotal = uint96(head.rewardTotal);
        if (head.rewardTotal > before) ledger.reward(head.period, head.rewardTotal - before);
    }

    function _earned(bytes32 rewardsRoot, uint256 rewardAccounts) private pure returns (bytes32) {
        return Hashes.efficientKeccak256(rewardsRoot, bytes32(rewardAccounts));
    }
}
