"""Money for people."""

from __future__ import annotations

from protocol.ledger.params import LTFT


def ltft(wei: int) -> str:
    """Return an amount in LTFT, exactly."""
    whole, part = divmod(wei, LTFT)
    digits = f"{part:018d}".rstrip("0")
    return f"{whole:,}{'.' + digits if digits else ''} LTFT"
