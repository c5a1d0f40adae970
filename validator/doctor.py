"""`ltvalidator doctor`: may strangers' pipelines be let in here? Looks at the machine, then attacks its own jail.

Installs and changes nothing; what the attacks leave where they succeed is removed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from infra.home import find_home
from infra.settings import load_settings
from pipelines.identity import library_versions
from protocol.errors import LongtailError
from validator.finding import Finding
from validator.sandbox import probes
from validator.sandbox.policy import TIERS
from validator.sandbox.tiers import Survey, survey

Look = Callable[[], Iterator[Finding]]


def examine() -> list[Finding]:
    """Look at interpreter, libraries, settings and the layers of the jail, and attack the tier that is used here.

    Returns
    -------
    list of Finding
        An ``error`` for whatever keeps a validator from starting, with the remedy. Takes some seconds of CPU.
    """
    findings: list[Finding] = []
    for look in (_python, _libraries, _settings, _jail):
        try:
            findings.extend(look())
        except LongtailError as error:
            findings.append(Finding(look.__name__.strip("_"), "error", str(error)))
    return findings


def _python() -> Iterator[Finding]:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    yield Finding("python", "ok" if fits else "error", detail if fits else f"{detail}; longtail runs on 3.11 to 3.13")


def _libraries() -> Iterator[Finding]:
    try:
        yield from (Finding(name, "ok", number) for name, number in library_versions().items())
        yield Finding("coincurve", "ok", version("coincurve"))
    except PackageNotFoundError as error:
        yield Finding(str(error.name), "error", "not installed; run scripts/setup")


def _settings() -> Iterator[Finding]:
    load_settings()
    file = find_home().settings_file
    yield Finding("settings", "ok", str(file) if file.is_file() else f"defaults ({file} does not exist)")


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
        except LongtailError as error:
            yield Finding(f"layer {layer}", "error", str(error))
            continue
        yield Finding(f"layer {layer}", "ok", f"{found.text}; alone it stops: {alone or 'no probe but the bombs'}")
