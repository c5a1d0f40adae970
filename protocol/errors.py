"""One root class for every error the project raises on purpose, one exit code per family.

A message names the thing, its value and the remedy. Commands print it to stderr and leave with the
family's ``exit_code``; anything that is not a :class:`LongtailError` is a defect and exits with 70.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_OK = 0
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class LongtailError(Exception):
    """Root of all errors raised on purpose."""

    exit_code: ClassVar[int] = EXIT_INTERNAL


class UsageError(LongtailError):
    """The command line or an argument does not make sense."""

    exit_code = 2


class ConfigError(LongtailError):
    """A setting, home directory, topic or journal cannot be used."""

    exit_code = 3


class DataError(LongtailError):
    """A series, file or dataset cannot be used."""

    exit_code = 3


class ClusterError(LongtailError):
    """A scheduler, worker, exchange or network peer does not do its part."""

    exit_code = 4


class RefusedError(LongtailError):
    """A submission or an action is refused by a rule."""

    exit_code = 5


class BudgetReachedError(LongtailError):
    """The budget is used up before there is anything to show."""

    exit_code = 6


class EquivocationError(LongtailError):
    """Going on might sign two different things with one key; whoever restarts services must not restart this one."""

    exit_code = 78
