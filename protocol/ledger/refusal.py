"""What the ledger refuses, each kind with a code that programs can rely on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from protocol.errors import RefusedError

#: Every refusal code and what it says of the event.
CODES: Mapping[str, str] = MappingProxyType(
    {
        "unknown-kind": "no event of this kind exists",
        "fields": "the body lacks a field, or has one that its kind does not know",
        "malformed": "a value is of the wrong type, out of range or badly spelled",
        "oversized": "the event or the module in it is too large",
        "signature": "the signature is malformed, malleated, of another key, another ledger or another event",
        "no-account": "the author or the receiver has no account",
        "nonce": "the nonce is not the author's next one: an event replayed, reordered or skipped",
        "registered": "the author has an account already",
        "identity": "public key, Cosmos address, Cosmos signature and author do not belong together",
        "funds": "the author's balance or stake is smaller than the amount",
        "reports-open": "the author owes the reveal of a report, so the stake stays",
        "commitment-used": "the same commitment is open already",
        "no-commitment": "no such commitment is open: never made, revealed, or its window is over",
        "wrong-opening": "text, salt and author do not open the commitment",
        "wrong-topic": "the commitment was made for another topic",
        "duplicate": "a module with this hash was submitted before",
        "not-validator": "the author's stake is below the minimum for validators",
        "no-subject": "nothing of this name can be reported on",
        "closed": "the subject is decided or its day is covered",
        "too-early": "the day is not over, or commitments to reports are still being gathered",
        "already-committed": "the author has committed to a report on this subject in this round",
        "commits-closed": "a report on this subject was revealed, so no more commitments are taken",
        "not-committed": "the author has not committed to a report on this subject in this round",
        "already-revealed": "the author has revealed its report in this round",
        "wrong-number": "the report numbers the submission otherwise than the ledger",
        "wrong-parent": "the HEAD does not follow the newest one",
        "wrong-period": "the HEAD's period is not after the newest one's or not here yet, or it read a height that is not",
        "no-block": "the HEAD names a model that is no model block of the topic",
        "no-quorum": "validators with more than two thirds of the stake must sign a HEAD, each one HEAD of a period",
        "wrong-rewards": "the HEAD takes earnings back, or pays more than deposits and emission allow",
        "wrong-claim": "total and proof do not lead to the rewards of the newest HEAD",
        "claimed": "everything earned has been paid",
    }
)


class LedgerRefusal(RefusedError):  # noqa: N818 - the contract's name: a refusal is an answer, not a defect
    """The ledger does not take an event; nothing has changed.

    Attributes
    ----------
    code : str
        One of :data:`CODES`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NonceError(LedgerRefusal):
    """The nonce is not the author's next one; read `expected`, sign again.

    Attributes
    ----------
    expected : int
    """

    def __init__(self, author: str, nonce: int, expected: int) -> None:
        super().__init__("nonce", f"nonce {nonce} of {author} is not its next one; sign again with nonce {expected}")
        self.expected = expected
