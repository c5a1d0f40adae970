"""What the read commands of `ltfund` tell, as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fund.units import WEI
from protocol.head.prediction import Prediction
from protocol.head.schedule import PERIOD_S
from protocol.head.units import NANO

Facts = Mapping[str, Any]
NONE = "-"
#: Last second that a date can name: the end of the year 9999.
_LAST = 253_402_300_799
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def head_text(facts: Facts) -> str:
    """Return what :func:`fund.look.head_facts` found."""
    age = f"{span(facts['age_s'])} old" + (", stale" if facts["stale"] else "")
    gap = [f"{facts[name]} {name}" for name in ("missed", "carried") if facts[name]]
    lines = [
        ("HEAD", f"{facts['period']}, {moment(facts['period'])}, {age}"),
        ("hash", facts["hash"]),
        ("parent", facts["parent"] + (f"; periods between: {', '.join(gap)}" if gap else "")),
        ("ledger", f"read up to height {facts['height']}"),
        ("data", facts["data_root"]),
        ("predictions", f"{facts['predictions']}"),
        ("rewards", f"{ltft(facts['paid'])} LTFT, in all {ltft(facts['rewards'])} to {facts['accounts']} accounts"),
        ("quorum", _quorum(facts)),
        ("stamp", _stamp(facts["stamp"])),
    ]
    lines += [("signed", one) for one in facts["signers"]]
    for what in ("equivocating", "unknown", "forged"):
        lines += [(what, one) for one in (facts["quorum"] or {}).get(what, ())]
    if facts["quorum"] is None:
        lines += [("other HEAD", one) for one in facts["others"]]
    text = "\n".join(f"{name:<13}{value}" for name, value in lines)
    models = [
        [topic["topic"], model["role"], f"{model['weight']:.3f}", model["hash"]]
        for topic in facts["topics"]
        for model in topic["models"]
    ]
    silent = [topic["topic"] for topic in facts["topics"] if not topic["models"]]
    text += "\n\n" + table(["topic", "role", "weight", "model"], models, left=(0, 1, 3)) if models else ""
    return text + "".join(f"\nnobody speaks on {name}" for name in silent)


def list_text(rows: Sequence[Facts]) -> str:
    """Return what :func:`fund.look.listed` found, a line a step."""
    names = ("missed", "carried", "models", "predictions", "paid", "signatures")
    header = ["period", "time (UTC)", *names[:4], "paid LTFT", names[5], "hash"]
    body = [
        [
            str(one["period"]),
            moment(one["period"]),
            *(ltft(one[name]) if name == "paid" else str(one[name]) for name in names),
            one["hash"][:12],
        ]
        for one in rows
    ]
    return table(header, body, left=(1, 8))


def predictions_text(period: int, predictions: Iterable[Prediction]) -> str:
    """Return predictions by topic, sector and symbol, with the shares of the models behind each."""
    rows = [
        [
            *(one.topic, one.sector, one.broker, one.symbol),
            *(f"{value / NANO:+z.4f}" for value in (one.value, one.low, one.high)),
            "  ".join(
                f"{name[:8]} {share / NANO:.0%}" for name, share in sorted(one.models, key=lambda model: -model[1])
            ),
        ]
        for one in sorted(predictions, key=lambda one: (one.topic, one.sector, one.symbol, one.broker, one.type))
    ]
    header = ["topic", "sector", "broker", "symbol", "value", "low", "high", "models"]
    return f"HEAD {period}, {moment(period)}: {len(rows)} predictions\n" + (
        table(header, rows, left=(0, 1, 2, 3, 7)) if rows else ""
    )


def nav_text(facts: Facts) -> str:
    """Return what :func:`fund.look.nav_facts` found."""
    names: dict[str, tuple[str, Callable[[Any], str]]] = {
        "per_share": ("per share", lambda value: f"{value:.6f}"),
        "equal_weight": ("equal weight", lambda value: f"{value:.6f}"),
        "nav_cents": ("net assets", money),
        "cash_cents": ("cash", money),
        "gross": ("gross", percent),
        "net": ("net", percent),
        "high_water": ("high water", lambda value: f"{value:.6f}"),
        "drawdown": ("drawdown", percent),
        "worst_drawdown": ("worst", percent),
        "costs_cents": ("costs", money),
        "fees_cents": ("fees", money),
    }
    rows = [
        [name, *(show(one[key]) for key, (_, show) in names.items())]
        for name, one in (*facts["books"].items(), ("together", facts["together"]))
    ]
    header = ["book", *(title for title, _ in names.values())]
    title = f"HEAD {facts['period']}, {moment(facts['period'])}; money in {facts['currency']}\n"
    text = title + table(header, rows, left=(0,))
    if "series" not in facts["together"]:
        return text
    points = [[_date(time), f"{nav:.6f}", f"{equal:.6f}"] for time, nav, equal in facts["together"]["series"]]
    return f"{text}\n\n{table(['time (UTC)', 'per share', 'equal weight'], points, left=(0,))}"


def rewards_text(facts: Facts) -> str:
    """Return what :func:`fund.look.reward_facts` found."""
    kept = facts["kept"]
    given = f" of {ltft(facts['emission'])} emission and {ltft(facts['buyback'])} buyback" if kept is not None else ""
    text = (
        f"HEAD {facts['period']}, {moment(facts['period'])}: {ltft(facts['paid'])} LTFT paid{given}\n"
        f"in all {ltft(facts['total'])} LTFT to {facts['accounts']} accounts, claims root {facts['root']}"
    )
    if facts["earnings"]:
        rows = [[ltft(one["amount"]), one["account"], one["why"]] for one in facts["earnings"]]
        text += "\n\n" + table(["LTFT", "account", "for"], rows, left=(1, 2))
    if kept:
        rows = [[ltft(one["amount"]), one["topic"] or NONE, one["why"]] for one in kept]
        text += "\n\nkept in the pool\n" + table(["LTFT", "topic", "why"], rows, left=(1, 2))
    if facts["totals"]:
        rows = [[ltft(one["total"]), ltft(one["last"]), one["account"]] for one in facts["totals"]]
        text += "\n\n" + table(["in all LTFT", "this HEAD", "account"], rows, left=(2,))
    if facts["redeemed"]:
        rows = [[ltft(one["tokens"]), ltft(one["paid"]), one["account"]] for one in facts["redeemed"]]
        text += "\n\n" + table(["redeemed LTFT", "for quote", "account"], rows, left=(2,))
    return text


def account_text(facts: Facts) -> str:
    """Return what :func:`fund.earned.paid` found."""
    if facts["proof"] is None:
        return f"{facts['account']} has earned nothing up to HEAD {facts['period']}"
    last = {(one["topic"], one["role"], one["source"]): one["amount"] for one in facts["last"]}
    rows = [
        [
            ltft(one["amount"]),
            str(one["heads"]),
            ltft(last.get((one["topic"], one["role"], one["source"]), "0")),
            *(one["topic"], one["role"], one["source"]),
        ]
        for one in facts["earned"]
    ]
    text = f"{facts['account']} has earned {ltft(facts['total'])} LTFT up to HEAD {facts['period']}\n\n"
    return text + table(["LTFT", "HEADs", "this HEAD", "topic", "as", "by"], rows, left=(3, 4, 5))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = ()) -> str:
    """Return lines with aligned columns; to the right, except those in `left`."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def moment(period: int) -> str:
    """Return the start of a period, UTC."""
    return _date(period * PERIOD_S)


def span(seconds: int) -> str:
    """Return a duration in its largest two units, rounded down."""
    left, sign, parts = abs(seconds), "-" if seconds < 0 else "", list[str]()
    for size, unit in _UNITS:
        amount, left = divmod(left, size)
        if amount or parts:
            parts.append(f"{amount} {unit}")
    return sign + (" ".join(parts[:2]) if parts else f"{left} s")


def ltft(wei: str | int | None) -> str:
    """Return wei as LTFT with six decimals, rounded down; what is unknown is a dash."""
    if wei is None:
        return NONE
    whole, rest = divmod(int(wei), WEI)
    return f"{whole:,}.{rest // 10**12:06d}"


def money(amount: int) -> str:
    """Return cents as units."""
    whole, rest = divmod(abs(amount), 100)
    return f"{'-' if amount < 0 else ''}{whole:,}.{rest:02d}"


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage; what is unknown is a dash."""
    return NONE if ratio is None else f"{ratio:.1%}"


def _date(time: int) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}" if time <= _LAST else f"{time} s"


def _quorum(facts: Facts) -> str:
    quorum = facts["quorum"]
    if quorum is None:
        return f"{len(facts['signers'])} signatures; name the ledger to count them: --ledger FILE"
    word = "reached" if quorum["reached"] else "not reached"
    return f"{word}: {ltft(quorum['stake'])} of {ltft(quorum['of'])} LTFT of stake signed"


def _stamp(stamp: Facts | None) -> str:
    if stamp is None:
        return "not looked for"
    if stamp["stamped"]:
        return f"at height {stamp['height']}, {_date(stamp['time'])}"
    return str(stamp["why"])
