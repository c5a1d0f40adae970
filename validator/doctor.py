"""`ltvalidator doctor`: may strangers' pipelines be let in here? Looks at the machine, then attacks its own jail.

Installs and changes nothing; what the attacks leave where they succeed is removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

from data.sample import dataset_uri
from infra.finding import Finding, examined, python, settings
from infra.keystore import stored_key
from infra.network import VALIDATOR, find_network, key_path
from infra.settings import load_settings
from pipelines.identity import library_versions
from protocol.errors import LongtailError
from validator.sandbox import probes
from validator.sandbox.policy import TIERS
from validator.sandbox.tiers import Survey, survey


def examine() -> list[Finding]:
    """Look at interpreter, libraries, settings, data, ledger and the layers of the jail, and attack the tier that is used here.

    Returns
    -------
    list of Finding
        An ``error`` for whatever keeps a validator from starting, with the remedy. Takes some seconds of CPU.
    """
    return examined((python, _libraries, settings, _data, _ledger, _jail))


def _libraries() -> Iterator[Finding]:
    try:
        yield from (Finding(name, "ok", number) for name, number in library_versions().items())
        yield Finding("coincurve", "ok", version("coincurve"))
    except PackageNotFoundError as error:
        yield Finding(str(error.name), "error", "not installed; run scripts/setup")


def _data() -> Iterator[Finding]:
    from data.dataset import Dataset

    uri = dataset_uri(load_settings().data)
    series = Dataset.open(uri).series()
    yield Finding("data", "ok" if series else "error", f"{uri}: {len(series)} series")


def _ledger() -> Iterator[Finding]:
    chosen = load_settings()
    ledger = find_network(chosen)
    if ledger is None:
        yield Finding("ledger", "ok", "the local one, which is made when it is first used")
        return
    with closing(ledger):
        state, skew = ledger.state(), ledger.clock_skew()
        yield Finding("ledger", "ok", f"{chosen.ledger}: height {state.height}, {len(state.validators)} validators")
        if skew:
            yield Finding(
                "clock", "warning", f"{skew} s behind the ledger's last record; windows stand still until then"
            )
        stored = stored_key(key_path(chosen, VALIDATOR))
        if not stored.address:
            yield Finding("key", "warning", f"{stored.problem}; without one this machine can score, not vote")
            return
        staked = stored.address in state.validators
        remedy = "no stake on this ledger; `ltvalidator stake` makes it a validator"
        yield Finding("key", "ok" if staked else "warning", f"{stored.address}: {'staked' if staked else remedy}")


def _jail() -> Iterator[Finding]:
    seen = survey()
    yield from _layers(seen)
    usable = [tier for tier in TIERS if seen.tiers[tier] is None]
    for tier in TIERS:
        if reason := seen.tiers[tier]:
            yield Finding(f"tier {tier}", "warning" if usable else "error", reason)
        else:
            yield Finding(f"tier {tier}", "ok", "used here" if tier == usable[0] else "works; a stronger one is used")
    if not usable:
        remedy = "submissions cannot be jailed here and nothing is run without a jail; mend what one of the tiers lacks"
        yield Finding("jail", "error", remedy)
    for tier in usable[:1]:
        try:
            yield from probes.attack(tier)
        except LongtailError as error:
            yield Finding("attack", "error", str(error))


def _layers(seen: Survey) -> Iterator[Finding]:
    for layer, found in seen.layers.items():
        if not found.works:
            yield Finding(f"layer {layer}", "warning", found.text)
            continue
        try:
            alone = ", ".join(probes.stopped_by(layer))
        except LongtailError as error:  # a tier may still do: it is attacked as a whole
            yield Finding(f"layer {layer}", "warning", f"{found.text}; alone it cannot be tried here: {error}")
            continue
        yield Finding(f"layer {layer}", "ok", f"{found.text}; alone it stops: {alone or 'no probe but the bombs'}")
