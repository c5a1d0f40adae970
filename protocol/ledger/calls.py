"""Events as calls of the contracts, and the contracts' logs as events: the two spellings of one thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from protocol.addresses import checksum_address, keccak256
from protocol.errors import DataError, RefusedError
from protocol.head.head import Head, topics_of
from protocol.head.merkle import Proof
from protocol.head.quorum import HeadSignature, head_digest
from protocol.keys import recover
from protocol.ledger.abi import decoded
from protocol.ledger.commitments import canonical, live_subject, parse_subject, screen_subject
from protocol.ledger.event import SignedEvent
from protocol.ledger.kinds import source_bytes, source_hash
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.reports import check_report
from protocol.typed_data import Domain, typed_digest

#: The contract's enum of outcomes.
OUTCOMES = ("", "open", "accepted", "refused", "invalid", "undecided")
#: The fields of a HEAD in the contract's order, with their types where they are signed. The rest follows or stands beside.
HEAD_FIELDS: Mapping[str, str] = {
    "period": "uint256",
    "height": "uint256",
    "parent": "bytes32",
    "ledger": "bytes32",
    "data_root": "bytes32",
    "predictions_root": "bytes32",
    "rewards_root": "bytes32",
    "reward_accounts": "uint256",
    "reward_total": "uint256",
}
_BLANK = ("pipeline_id", "near_id", "data_root")
_SUBJECT = "(bool,bytes32,uint32)"
_SCREEN = "(uint8,string,bytes32,bytes32,bytes32,bytes32,bytes32,int64,int64,int64,uint8)"
_LIVE = "(int64,int64)"
#: What the body of a log holds, by kind.
BODIES: Mapping[str, tuple[str, ...]] = {
    "register": ("string", "bytes", "string", "bytes"),
    "transfer": ("address", "uint256"),
    "stake": ("uint256",),
    "unstake": ("uint256",),
    "deposit": ("uint256",),
    "burn": ("uint256",),
    "redeem": ("uint256",),
    "tick": (),
    "commit": ("string", "bytes32"),
    "reveal": ("bytes32", "bytes32", "string", "bytes32", "bytes"),
    "report_commit": (_SUBJECT, "bytes32"),
    "report_reveal": (_SUBJECT, "bytes32", "bytes"),
    "claim": ("uint256", "uint256", "uint256", "bytes32[]"),
    "stamp": ("bytes32",),
}


#: Stands where an event has no signature, because its author brought it to the contract or because it is the token's.
UNSIGNED = "0x" + "0" * 130


class Call(NamedTuple):
    """A call of a contract: its name, the function's, and the arguments."""

    contract: str
    function: str
    arguments: tuple[Any, ...]


def call_of(  # noqa: PLR0911 - one return per kind
    event: SignedEvent, domain: Domain, *, signature: bool = True, text: bool = True
) -> Call:
    """Return the call that records an event.

    Parameters
    ----------
    event : SignedEvent
        Checked (:meth:`protocol.ledger.event.SignedEvent.check`). A ``stamp`` must be brought by its author; of its
        signatures those that are genuine are taken.
    domain : Domain
        Of the ledger.
    signature : bool
        False: the author brings it, so the contract needs no signature.
    text : bool
        False: of a module its hash is brought, and its text not.

    Raises
    ------
    LedgerRefusal
        ``malformed``: a report, HEAD or proof that no contract would take.
    """
    body, by = event.body, (event.author, event.nonce)
    mark = bytes.fromhex(event.signature[2:]) if signature else b""
    match event.kind:
        case "register":
            key, cosmos = bytes.fromhex(body["public_key"]), bytes.fromhex(body["cosmos_signature"])
            return Call("Ledger", "register", (*by, body["name"], key, cosmos, mark))
        case "transfer":
            return Call("Ledger", "transfer", (*by, body["to"], body["amount"], mark))
        case "tick":
            return Call("Ledger", "tick", (*by, mark))
        case "commit":
            return Call("Registry", "commit", (*by, body["topic"], bytes.fromhex(body["commitment"]), mark))
        case "reveal":
            hidden = bytes.fromhex(body["commitment"]), bytes.fromhex(body["salt"])
            source = bytes.fromhex(source_hash(body["source"])), source_bytes(body["source"]) if text else b""
            return Call("Registry", "reveal", (*by, *hidden, body["topic"], *source, mark))
        case "report_commit":
            words = _subject(body["subject"]), bytes.fromhex(body["commitment"])
            return Call("Registry", "reportCommit", (*by, *words, mark))
        case "report_reveal":
            return _report_call(event, mark)
        case "stamp":
            return _stamp_call(event, domain)
        case "claim":
            proof = _proof(body["proof"])
            path = [bytes.fromhex(one) for one in proof.path]
            return Call("Heads", "claim", (*by, body["total"], proof.index, proof.size, path, mark))
    return Call("Ledger", event.kind, (*by, body["amount"], mark))


def body_of(kind: str, data: bytes) -> dict[str, Any]:  # noqa: PLR0911 - one return per kind
    """Return the body of an event from a log.

    A ``reveal`` without a text, or with bytes that are no text, has ``source_hash`` in place of ``source``; a ``stamp`` has
    the hash of its HEAD only: text and signatures stand in the call's data (:func:`stamp_body`).

    Raises
    ------
    DataError
        The contracts log no such thing.
    """
    if kind not in BODIES:
        raise DataError(f"a log tells of an event of the kind {kind!r:.40}, which the contracts do not know")
    values = decoded(BODIES[kind], data)
    match kind:
        case "register":
            names = ("name", "public_key", "cosmos_address", "cosmos_signature")
            return dict(zip(names, (values[0], values[1].hex(), values[2], values[3].hex()), strict=True))
        case "transfer":
            return {"to": checksum_address(values[0]), "amount": values[1]}
        case "tick":
            return {}
        case "commit":
            return {"topic": values[0], "commitment": values[1].hex()}
        case "reveal":
            told = {"commitment": values[0].hex(), "salt": values[1].hex(), "topic": values[2]}
            text = text_of(values[4])
            return told | ({"source": text} if text else {"source_hash": values[3].hex()})
        case "report_commit":
            return {"subject": _subject_text(values[0]), "commitment": values[1].hex()}
        case "report_reveal":
            report = _report(values[0][0], values[2])
            return {"subject": _subject_text(values[0]), "salt": values[1].hex(), "report": report}
        case "claim":
            proof = {"index": values[1], "path": [one.hex() for one in values[3]], "size": values[2]}
            return {"total": values[0], "proof": proof}
        case "stamp":
            return {"head": values[0].hex()}
    return {"amount": values[0]}


def head_fields(head: Head) -> tuple[tuple[Any, ...], bytes, int, str]:
    """Return a HEAD as the contract takes it: fields, the root of its models, how many predictions, the JSON of its topics."""
    plain = head.to_dict()
    fields = tuple(
        bytes.fromhex(plain[name]) if type_ == "bytes32" else plain[name] for name, type_ in HEAD_FIELDS.items()
    )
    return fields, bytes.fromhex(head.models_root), head.prediction_count, canonical(plain["topics"])


def text_of(content: bytes) -> str | None:
    """Return bytes as text, None if they are none."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def event_of(kind: str, author: str, nonce: int, body: Mapping[str, Any], signature: bytes) -> SignedEvent:
    """Return the event that a log tells; the contract vouches for what has no signature (:data:`UNSIGNED`)."""
    mark = "0x" + signature.hex() if signature else UNSIGNED
    return SignedEvent(kind, checksum_address(author), nonce, body, mark)


def stamp_body(function: str, arguments: tuple[Any, ...], domain: Domain) -> dict[str, Any]:
    """Return the body of a ``stamp`` from the call that brought it; ``values`` is the hash of what was said with the HEAD.

    Parameters
    ----------
    function : {"stamp", "stampValues", "stampFeeds"}
    arguments : tuple
        Of that function of the contract.
    domain : Domain
        Of the ledger.

    Raises
    ------
    DataError
        It tells none: a quorum has signed what no honest validator does.
    """
    fields, topics, marks = arguments[1], arguments[-2 if function == "stamp" else 2], arguments[-1]
    plain = _plain(fields)
    try:
        listed = json.loads(topics)
        if function == "stamp":
            rest = {"models_root": arguments[2].hex(), "prediction_count": arguments[3]}
            text = canonical({**plain, **rest, "topics": listed, "version": 1})
            digest = head_digest(domain, plain["period"], hashlib.sha256(text.encode()).hexdigest())
        else:
            head = Head(**plain, topics=topics_of(listed), prediction_count=len(arguments[3]) // 8 - 8)
            told = keccak256(arguments[3]).hex()
            text, digest = head.text, values_digest(domain, fields, topics, told)
    except (ValueError, RecursionError, RefusedError) as error:
        raise DataError(f"the call that stamped HEAD {plain['period']} tells no HEAD: {error}") from error
    signatures = []
    for start in range(0, len(marks), 65):
        signature = "0x" + marks[start : start + 65].hex()
        signatures.append({"validator": recover(digest, signature), "signature": signature})
    return {"head": text, "signatures": signatures} | ({"values": told} if function != "stamp" else {})


def values_digest(domain: Domain, fields: Sequence[Any], topics: str, said: str) -> bytes:
    """Return what validators sign to put a HEAD on the chain with the values of its predictions (docs/spec/contracts.md).

    Parameters
    ----------
    domain : Domain
        Of the ledger.
    fields, topics
        Of the HEAD, as of :func:`head_fields`.
    said : str
        Keccak-256 of what :func:`said_values` returns, 64 hex digits.
    """
    types = [*HEAD_FIELDS.items(), ("topics", "bytes32"), ("said", "bytes32")]
    plain = _plain(fields)
    hashes = {"topics": keccak256(topics.encode()).hex(), "said": said}
    return typed_digest(domain, "HeadValues", types, {**plain, **hashes})


def said_values(head: str, series: str, values: Sequence[int]) -> bytes:
    """Return what is logged of a HEAD with values, and signed by its hash.

    Parameters
    ----------
    head : str
        The HEAD's hash.
    series : str
        Keccak-256 of the list of series, 64 hex digits.
    values : sequence of int
        The predictions' values in the order of their tree, billionths, from -2**63 to 2**63 - 1.

    Returns
    -------
    bytes
        Both hashes, then 8 bytes for each value, big end first: n as 2 n, and -n as 2 n - 1.
    """
    coded = ((2 * one if one >= 0 else -2 * one - 1).to_bytes(8) for one in values)
    return bytes.fromhex(head) + bytes.fromhex(series) + b"".join(coded)


def values_in(said: bytes) -> list[int]:
    """Return the values in what :func:`said_values` has written."""
    numbers = (int.from_bytes(said[start : start + 8]) for start in range(64, len(said), 8))
    return [-(one >> 1) - 1 if one & 1 else one >> 1 for one in numbers]


def stacked(signatures: Mapping[str, str]) -> bytes:
    """Return signatures by validator as the contracts take them: 65 bytes each, in the order of the addresses."""
    ordered = sorted(signatures, key=str.lower)
    return b"".join(bytes.fromhex(signatures[validator][2:]) for validator in ordered)


def _plain(fields: Sequence[Any]) -> dict[str, Any]:
    """Return fields of a HEAD by name, hashes in hex."""
    return dict(zip(HEAD_FIELDS, (one.hex() if isinstance(one, bytes) else one for one in fields), strict=True))


def _stamp_call(event: SignedEvent, domain: Domain) -> Call:
    try:
        head = Head.from_json(event.body["head"])
    except RefusedError as error:
        raise LedgerRefusal("malformed", str(error)) from error
    signed = [HeadSignature(head.period, head.hash, **one) for one in event.body["signatures"]]
    marks = stacked({one.validator: one.signature for one in signed if one.genuine(domain)})
    return Call("Heads", "stamp", (event.nonce, *head_fields(head), marks))


def _report_call(event: SignedEvent, mark: bytes) -> Call:
    body, by = event.body, (event.author, event.nonce)
    subject, report = parse_subject(body["subject"]), body["report"]
    check_report(subject.kind, report)
    block, salt = bytes.fromhex(subject.block_hash), bytes.fromhex(body["salt"])
    if subject.kind == "live":
        values: tuple[Any, ...] = (report["log_e"], report["days"])
        return Call("Registry", "revealLive", (*by, block, subject.day, salt, values, mark))
    hashes = [
        bytes.fromhex(str(report[name])) or bytes(32)
        for name in ("pipeline_id", "near_id", "verdict", "data_root", "registry")
    ]
    blank = sum(1 << place for place, name in enumerate(_BLANK) if not report[name])
    numbers = report["specific"], report["generalized"], report["k"]
    values = (OUTCOMES.index(report["outcome"]), report["reason"], *hashes, *numbers, blank)
    return Call("Registry", "revealScreen", (*by, block, salt, values, mark))


def _report(live: bool, data: bytes) -> dict[str, int | str]:
    if live:
        ((log_e, days),) = decoded((_LIVE,), data)
        return {"log_e": log_e, "days": days}
    ((outcome, reason, pipeline, near, verdict, root, registry, specific, generalized, k, blank),) = decoded(
        (_SCREEN,), data
    )
    identity = {
        name: "" if blank >> place & 1 else word.hex()
        for place, (name, word) in enumerate(zip(_BLANK, (pipeline, near, root), strict=True))
    }
    return {
        "outcome": OUTCOMES[outcome],
        "reason": reason,
        **identity,
        "verdict": verdict.hex(),
        "registry": registry.hex(),
        "specific": specific,
        "generalized": generalized,
        "k": k,
    }


def _subject(text: str) -> tuple[bool, bytes, int]:
    subject = parse_subject(text)
    return subject.kind == "live", bytes.fromhex(subject.block_hash), subject.day


def _subject_text(values: tuple[bool, bytes, int]) -> str:
    live, block_hash, day = values
    return live_subject(block_hash.hex(), day) if live else screen_subject(block_hash.hex())


def _proof(raw: object) -> Proof:
    try:
        return Proof.from_dict(raw)
    except RefusedError as error:
        raise LedgerRefusal("malformed", str(error)) from error
