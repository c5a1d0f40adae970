"""Reading what a stranger wrote: one canonical text, exactly the fields, nothing converted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from protocol.errors import RefusedError
from protocol.ledger.commitments import canonical


def read_canonical(text: str | bytes, what: str, limit: int) -> Any:
    """Return the values of canonical JSON: text that is what :func:`protocol.ledger.commitments.canonical` writes.

    So a value has one text: no repeated key, space, other order or other spelling of a number or letter.

    Parameters
    ----------
    text : str or bytes
        UTF-8 if bytes.
    what : str
        Named in the message.
    limit : int
        Most bytes taken.

    Raises
    ------
    RefusedError
        Too long, no JSON, or not canonical.
    """
    if len(text) > limit:
        raise RefusedError(f"{what} has {len(text)} bytes; at most {limit} are taken")
    try:
        plain = text.decode() if isinstance(text, bytes) else text
        raw = json.loads(plain)
        again = canonical(raw)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{what} is no JSON of texts and whole numbers: {str(error)[:200]}") from error
    if again != plain:
        raise RefusedError(f"{what} is not canonical JSON; write sorted keys, no spaces, ASCII, each key once")
    return raw


def fields_of(raw: object, what: str, names: Sequence[str]) -> dict[str, Any]:
    """Return an object that has exactly the fields named.

    Raises
    ------
    RefusedError
        It has not; the message names those missing or unknown.
    """
    if not isinstance(raw, dict):
        raise RefusedError(f"{what} is {raw!r:.80}; give an object with the fields {', '.join(names)}")
    if set(raw) != set(names):
        odd = ", ".join(sorted(set(raw) ^ set(names))[:10])
        raise RefusedError(f"{what} has the fields {', '.join(names)}; missing or unknown: {odd:.200}")
    return raw


def list_of(raw: object, what: str) -> list[Any]:
    """Return a list.

    Raises
    ------
    RefusedError
        It is none.
    """
    if not isinstance(raw, list):
        raise RefusedError(f"{what} is {raw!r:.80}; give a list")
    return raw


def whole(value: object, what: str, low: int = 0, high: int = 2**63 - 1) -> int:
    """Return a whole number (no bool) from `low` to `high`.

    Raises
    ------
    RefusedError
        It is none.
    """
    if type(value) is not int or not low <= value <= high:
        raise RefusedError(f"{what} is {value!r:.80}; give a whole number from {low} to {high}")
    return value
