"""Logs: one JSON object per line for services, plain lines for people; both on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """``time`` (UTC), ``level``, ``logger``, ``event`` and whatever the call gave as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class LineFormatter(logging.Formatter):
    """``12:00:00 event  name=value``, with the traceback of an exception below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line for people."""
        facts = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        text = f"{datetime.fromtimestamp(record.created, UTC):%H:%M:%S} {record.getMessage()}{facts}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def start_logging(name: str, *, as_json: bool) -> logging.Logger:
    """Return the logger `name`, writing to stderr and to nothing else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def sparing(say: Callable[[str], None], every_s: float = 2.0) -> Callable[[str], None]:
    """Return a function that passes on what it is told through `say`, but nothing within `every_s` of the last time."""
    last = time.monotonic()

    def note(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            say(text)

    return note


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
