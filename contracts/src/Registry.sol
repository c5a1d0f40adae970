// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Blocks} from "./Blocks.sol";
import {IDue, ILedger} from "./Interfaces.sol";
import {
    AlreadyCommitted,
    AlreadyRevealed,
    Closed,
    CommitsClosed,
    Malformed,
    NoSubject,
    NotCommitted,
    NotValidator,
    TooEarly,
    WrongNumber,
    WrongOpening
} from "./Refusals.sol";
import {Text} from "./Text.sol";

/// @title Registry: modules, and the ballots by which validators decide on them
/// @notice docs/spec/ledger.md, sections 4 to 6. Validators commit to reports and reveal them; reports that agree and have
/// more than two thirds of the stake decide. Nobody can stop a ballot: who does not reveal is fined and a new round begins.
contract Registry is Blocks, IDue {
    /// @notice What a report is about.
    struct Subject {
        bool live;
        bytes32 blockHash;
        uint32 day;
    }

    /// @notice A report on a submission; `blank` says which of pipelineId (1), nearId (2), dataRoot (4) are the empty text.
    struct Screen {
        Status outcome;
        string reason;
        bytes32 pipelineId;
        bytes32 nearId;
        bytes32 verdict;
        bytes32 dataRoot;
        bytes32 registry;
        int64 specific;
        int64 generalized;
        int64 k;
        uint8 blank;
    }

    /// @notice A report on evidence, millionths of a nat over a number of days.
    struct Live {
        int64 logE;
        int64 dayCount;
    }

    /// What of a report decides: `key` is what reports must have in common, `id` the pipeline, then the numbers.
    struct Paper {
        bytes32 id;
        uint64 key;
        int64 first;
        int64 second;
    }

    struct Round {
        bytes32 blockHash;
        uint40 opened;
        uint40 expires;
        uint40 revealBy;
        uint24 day;
        uint32 number;
        uint16 revealed;
        bool live;
        bool decided;
        bool closed;
        Paper decision;
        address[] committers;
        mapping(address author => bytes32) commits;
        mapping(address author => Paper) papers;
    }

    bytes32 private constant REPORT_COMMIT =
        keccak256("ReportCommit(address author,uint256 nonce,string subject,bytes32 commitment)");
    bytes32 private constant REPORT_REVEAL =
        keccak256("ReportReveal(address author,uint256 nonce,string subject,bytes32 salt,bytes32 report)");

    uint64 public immutable reportWindow;
    uint64 public immutable reportReveal;
    uint64 public immutable submissionExpiry;

    mapping(uint256 id => Round) private _rounds;
    /// The round that a ballot is in; 0 if there is none.
    mapping(bytes32 subject => uint256 id) private _current;
    uint64 private _last;
    uint64 private _nextWindow = 1;
    uint64 private _nextExpiry = 1;
    uint64 private _nextReveal;
    /// Rounds in the order in which reveals began.
    uint64[] private _reveals;

    constructor(ILedger ledger_, Terms memory terms) Blocks(ledger_, terms) {
        (reportWindow, reportReveal, submissionExpiry) = (terms.reportWindow, terms.reportReveal, terms.submissionExpiry);
    }

    // ---------------------------------------------------------------------------------------------------------- events

    /// @notice Take a validator's commitment to a report.
    /// @param commitment keccak256(abi.encode(keccak256(subject), author, salt, sha256(report))).
    function reportCommit(
        address author,
        uint256 nonce,
        Subject calldata subject,
        bytes32 commitment,
        bytes calldata signature
    ) external {
        {
            bytes32 text = keccak256(_text(subject));
            bytes32 structHash = keccak256(abi.encode(REPORT_COMMIT, author, nonce, text, commitment));
            bytes memory body = abi.encode(subject, commitment);
            ledger.record("report_commit", author, nonce, msg.sender, structHash, body, signature);
        }
        (uint256 stake, uint256 validators) = _vote(author);
        if (stake == 0) revert NotValidator();
        uint256 id = _taking(subject);
        if (id != 0 && _rounds[id].revealed > 0) revert CommitsClosed();
        if (id != 0 && _rounds[id].commits[author] != 0) revert AlreadyCommitted();
        if (id == 0) id = _open(subject, block.timestamp, block.timestamp + submissionExpiry, 1);
        Round storage round = _rounds[id];
        ledger.owe(author);
        round.commits[author] = commitment == 0 ? bytes32(uint256(1)) : commitment;
        round.committers.push(author);
        if (round.committers.length >= validators || block.timestamp >= uint256(round.opened) + reportWindow) {
            _beginReveals(id, block.timestamp);
        }
    }

    /// @notice Take the report on a submission that a validator committed to, and decide if it is the deciding one.
    function revealScreen(
        address author,
        uint256 nonce,
        bytes32 blockHash,
        bytes32 salt,
        Screen calldata report,
        bytes calldata signature
    ) external {
        Subject memory subject = Subject(false, blockHash, 0);
        bytes32 hash = sha256(_json(report));
        _recordReveal(author, nonce, subject, salt, hash, abi.encode(subject, salt, abi.encode(report)), signature);
        uint256 id = _revealing(author, subject, salt, hash);
        _checkScreen(report);
        if (report.k != int64(uint64(submissions[blockHash].k))) revert WrongNumber();
        uint64 key = 1 + uint64(report.outcome) * 2 + (report.blank & 1);
        _take(id, author, Paper(report.pipelineId, key, report.specific, report.generalized));
    }

    /// @notice Take the report on a block's evidence that a validator committed to, and decide if it is the deciding one.
    function revealLive(
        address author,
        uint256 nonce,
        bytes32 blockHash,
        uint32 day,
        bytes32 salt,
        Live calldata report,
        bytes calldata signature
    ) external {
        Subject memory subject = Subject(true, blockHash, day);
        bytes32 hash = sha256(
            bytes.concat('{"days":', Text.number(report.dayCount), ',"log_e":', Text.number(report.logE), "}")
        );
        _recordReveal(author, nonce, subject, salt, hash, abi.encode(subject, salt, abi.encode(report)), signature);
        uint256 id = _revealing(author, subject, salt, hash);
        if (report.dayCount < 1 || report.logE == type(int64).min) revert Malformed();
        _take(id, author, Paper(0, uint64(report.dayCount), report.logE, report.dayCount));
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @notice The round that a ballot is in: number, since when, until when it may go on, last moment for reveals (0: not
    /// yet), who committed, how many revealed, whether it is decided. All 0 if there is none.
    function ballot(Subject calldata subject)
        external
        view
        returns (
            uint32 number,
            uint40 opened,
            uint40 expires,
            uint40 revealBy,
            address[] memory committers,
            uint16 revealed,
            bool decided
        )
    {
        Round storage round = _rounds[_current[_key(subject.live, subject.blockHash, subject.day)]];
        return (
            round.number,
            round.opened,
            round.expires,
            round.revealBy,
            round.committers,
            round.revealed,
            round.decided
        );
    }

    /// @notice What a validator committed to in the round that a ballot is in, and whether it revealed.
    function vote(Subject calldata subject, address author) external view returns (bytes32 commitment, bool revealed) {
        Round storage round = _rounds[_current[_key(subject.live, subject.blockHash, subject.day)]];
        return (round.commits[author], round.papers[author].key != 0);
    }

    // ------------------------------------------------------------------------------------------------------------ time

    /// @inheritdoc IDue
    function fallDue(uint256 steps) external onlyLedger returns (uint256 left, uint64 next) {
        (left, next) = _fallDue(steps);
        while (true) {
            uint64 window = _windowDue();
            uint64 reveals = _revealsDue();
            uint64 expiry = _expiryDue();
            uint64 first = window < reveals ? window : reveals;
            if (expiry < first) first = expiry;
            if (first > block.timestamp || left == 0) return (left, first < next ? first : next);
            left--;
            if (first == window) _endWindow(_nextWindow++);
            else if (first == reveals) _endReveals(_reveals[_nextReveal++]);
            else _expire(_nextExpiry++);
        }
    }

    // --------------------------------------------------------------------------------------------------------- private

    function _openScreen(bytes32 blockHash) internal override {
        _open(Subject(false, blockHash, 0), block.timestamp, block.timestamp + submissionExpiry, 1);
    }

    function _open(Subject memory subject, uint256 time, uint256 expires, uint32 number) private returns (uint256 id) {
        id = ++_last;
        Round storage round = _rounds[id];
        (round.blockHash, round.live, round.day) = (subject.blockHash, subject.live, uint24(subject.day));
        (round.opened, round.expires, round.number) = (uint40(time), uint40(expires), number);
        _current[_key(subject.live, subject.blockHash, subject.day)] = id;
        ledger.remind(uint64(time) + reportWindow);
        ledger.remind(uint64(expires));
    }

    /// The round of a ballot that still takes commitments; 0 for live evidence nobody has reported on.
    function _taking(Subject calldata subject) private view returns (uint256 id) {
        id = _current[_key(subject.live, subject.blockHash, subject.day)];
        if (!subject.live) {
            if (submissions[subject.blockHash].status == Status.None) revert NoSubject();
            if (id == 0 || _rounds[id].decided) revert Closed();
            return id;
        }
        Block storage one = blocks[subject.blockHash];
        if (one.number == 0) revert NoSubject();
        if (one.dropped || subject.day <= one.evidenceDay || (id != 0 && _rounds[id].decided)) revert Closed();
        if ((uint256(subject.day) + 1) * 1 days > block.timestamp) revert TooEarly();
    }

    function _recordReveal(
        address author,
        uint256 nonce,
        Subject memory subject,
        bytes32 salt,
        bytes32 report,
        bytes memory body,
        bytes calldata signature
    ) private {
        bytes32 text = keccak256(_text(subject));
        bytes32 structHash = keccak256(abi.encode(REPORT_REVEAL, author, nonce, text, salt, report));
        ledger.record("report_reveal", author, nonce, msg.sender, structHash, body, signature);
    }

    /// The round in which `author` may reveal this report now.
    function _revealing(address author, Subject memory subject, bytes32 salt, bytes32 report)
        private
        view
        returns (uint256 id)
    {
        id = _current[_key(subject.live, subject.blockHash, subject.day)];
        Round storage round = _rounds[id];
        bytes32 commitment = round.commits[author];
        if (id == 0 || commitment == 0) revert NotCommitted();
        if (round.papers[author].key != 0) revert AlreadyRevealed();
        if (!_revealsOpen(round, block.timestamp)) revert TooEarly();
        if (keccak256(abi.encode(keccak256(_text(subject)), author, salt, report)) != commitment) revert WrongOpening();
    }

    function _take(uint256 id, address author, Paper memory paper) private {
        Round storage round = _rounds[id];
        round.papers[author] = paper;
        round.revealed += 1;
        ledger.settle(author);
        _beginReveals(id, block.timestamp);
        if (!round.decided) _decide(round);
        if (round.revealed == round.committers.length) {
            if (!round.decided) _giveUp(round);
            _close(round);
        }
    }

    /// Look for a group of agreeing reports with more than two thirds of the stake, and do what it says.
    function _decide(Round storage round) private {
        (Paper[] memory papers, uint256[] memory stakes, uint256 count, uint256 all) = _papers(round);
        for (uint256 i = 0; i < count; i++) {
            uint256 stake = 0;
            for (uint256 j = 0; j < count; j++) {
                if (_agree(papers[i], papers[j])) stake += stakes[j];
            }
            if (stake * 3 <= all * 2) continue;
            int64 first = _median(papers, stakes, count, i, stake, false);
            int64 second = _median(papers, stakes, count, i, stake, true);
            (round.decided, round.decision) = (true, papers[i]);
            if (round.live) {
                _takeEvidence(round.blockHash, round.day, first, second);
            } else {
                Status outcome = Status((papers[i].key - 1) / 2);
                _settle(round.blockHash, outcome, papers[i].id, first, second);
            }
            return;
        }
    }

    function _papers(Round storage round)
        private
        view
        returns (Paper[] memory papers, uint256[] memory stakes, uint256 count, uint256 all)
    {
        address[] memory authors = round.committers;
        papers = new Paper[](authors.length);
        stakes = ledger.votesOf(authors);
        (all,) = ledger.votes();
        for (uint256 i = 0; i < authors.length; i++) {
            Paper memory paper = round.papers[authors[i]];
            if (paper.key == 0) continue;
            (papers[count], stakes[count]) = (paper, stakes[i]);
            count++;
        }
    }

    /// The least value of the group with at least half of the group's stake at or below it.
    function _median(
        Paper[] memory papers,
        uint256[] memory stakes,
        uint256 count,
        uint256 group,
        uint256 stake,
        bool second
    ) private pure returns (int64 least) {
        least = type(int64).max;
        for (uint256 i = 0; i < count; i++) {
            if (!_agree(papers[group], papers[i])) continue;
            int64 value = second ? papers[i].second : papers[i].first;
            if (value >= least) continue;
            uint256 below = 0;
            for (uint256 j = 0; j < count; j++) {
                bool counts = _agree(papers[group], papers[j]);
                if (counts && (second ? papers[j].second : papers[j].first) <= value) below += stakes[j];
            }
            if (2 * below >= stake) least = value;
        }
    }

    function _agree(Paper memory one, Paper memory other) private pure returns (bool) {
        return one.key == other.key && one.id == other.id;
    }

    function _revealsOpen(Round storage round, uint256 time) private view returns (bool) {
        if (round.revealBy != 0) return true;
        address[] memory authors = round.committers;
        if (authors.length == 0) return false;
        uint256[] memory stakes = ledger.votesOf(authors);
        (uint256 all, uint256 validators) = ledger.votes();
        uint256 stake = 0;
        uint256 voting = 0;
        for (uint256 i = 0; i < authors.length; i++) {
            stake += stakes[i];
            if (stakes[i] > 0) voting++;
        }
        return voting == validators || (time >= uint256(round.opened) + reportWindow && stake * 3 > all * 2);
    }

    /// Start the clock of the reveals if they are open now and were not before.
    function _beginReveals(uint256 id, uint256 time) private {
        Round storage round = _rounds[id];
        if (round.revealBy != 0 || !_revealsOpen(round, time)) return;
        uint64 due = uint64(time) + reportReveal;
        round.revealBy = uint40(due);
        _reveals.push(uint64(id));
        ledger.remind(due);
    }

    function _giveUp(Round storage round) private {
        if (!round.live) _settle(round.blockHash, Status.Undecided, 0, 0, 0);
    }

    function _close(Round storage round) private {
        round.closed = true;
        delete _current[_key(round.live, round.blockHash, round.day)];
    }

    /// From here on two thirds of the stake suffice.
    function _endWindow(uint256 id) private {
        Round storage round = _rounds[id];
        if (!round.closed) _beginReveals(id, uint256(round.opened) + reportWindow);
    }

    /// Fine those who did not reveal; without a decision, begin a new round.
    function _endReveals(uint256 id) private {
        Round storage round = _rounds[id];
        if (round.closed) return;
        _close(round);
        if (!round.decided) {
            _open(Subject(round.live, round.blockHash, round.day), round.revealBy, round.expires, round.number + 1);
        }
        address[] memory authors = round.committers;
        for (uint256 i = 0; i < authors.length; i++) {
            if (round.papers[authors[i]].key == 0) ledger.fine(authors[i]);
        }
    }

    /// Give a subject up that was not decided in time.
    function _expire(uint256 first) private {
        Round storage begun = _rounds[first];
        if (begun.number != 1) return;
        Round storage round = _rounds[_current[_key(begun.live, begun.blockHash, begun.day)]];
        if (round.expires != begun.expires || round.decided) return;
        _close(round);
        address[] memory authors = round.committers;
        for (uint256 i = 0; i < authors.length; i++) {
            if (round.papers[authors[i]].key == 0) ledger.settle(authors[i]);
        }
        _giveUp(round);
    }

    function _windowDue() private view returns (uint64) {
        return _nextWindow > _last ? NEVER : uint64(_rounds[_nextWindow].opened) + reportWindow;
    }

    function _revealsDue() private view returns (uint64) {
        return _nextReveal == _reveals.length ? NEVER : uint64(_rounds[_reveals[_nextReveal]].revealBy);
    }

    /// A later round goes on under the end of the ballot's first, which stands in the queue.
    function _expiryDue() private returns (uint64) {
        uint64 id = _nextExpiry;
        while (id <= _last && _rounds[id].number != 1) id++;
        if (id != _nextExpiry) _nextExpiry = id;
        return id > _last ? NEVER : uint64(_rounds[id].expires);
    }

    function _vote(address author) private view returns (uint256 stake, uint256 validators) {
        address[] memory list = new address[](1);
        list[0] = author;
        stake = ledger.votesOf(list)[0];
        (, validators) = ledger.votes();
    }

    function _key(bool live, bytes32 blockHash, uint256 day) private pure returns (bytes32) {
        return keccak256(abi.encode(live, blockHash, day));
    }

    function _text(Subject memory subject) private pure returns (bytes memory) {
        (bytes32 high, bytes32 low) = Text.hexWord(subject.blockHash);
        if (!subject.live) {
            if (subject.day != 0) revert Malformed();
            return bytes.concat("screen:", high, low);
        }
        if (subject.day > 9_999_999) revert Malformed();
        return bytes.concat("live:", high, low, ":", Text.number(uint256(subject.day)));
    }

    function _checkScreen(Screen calldata report) private pure {
        bool decided = report.outcome == Status.Accepted;
        bool known = decided || report.outcome == Status.Refused || report.outcome == Status.Invalid;
        if (!known || report.blank > 7 || (decided && report.blank != 0) || !Text.isSlug(report.reason)) revert Malformed();
        if (report.specific == type(int64).min || report.generalized == type(int64).min) revert Malformed();
        if (report.blank & 1 != 0 && report.pipelineId != 0) revert Malformed();
    }

    /// The canonical JSON of a report on a submission.
    function _json(Screen calldata report) private pure returns (bytes memory) {
        bytes memory outcome = report.outcome == Status.Accepted
            ? bytes("accepted")
            : report.outcome == Status.Refused ? bytes("refused") : bytes("invalid");
        bytes memory head = bytes.concat(
            '{"data_root":',
            _hash(report.dataRoot, report.blank & 4),
            ',"generalized":',
            Text.number(report.generalized),
            ',"k":',
            Text.number(report.k),
            ',"near_id":',
            _hash(report.nearId, report.blank & 2),
            ',"outcome":"',
            outcome
        );
        return bytes.concat(
            head,
            '","pipeline_id":',
            _hash(report.pipelineId, report.blank & 1),
            ',"reason":"',
            bytes(report.reason),
            '","registry":',
            Text.quoted(report.registry),
            ',"specific":',
            Text.number(report.specific),
            ',"verdict":',
            Text.quoted(report.verdict),
            "}"
        );
    }

    function _hash(bytes32 word, uint8 blank) private pure returns (bytes memory) {
        return blank == 0 ? Text.quoted(word) : bytes('""');
    }
}
