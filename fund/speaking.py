"""The model blocks that speak for a topic of the ledger, as models that can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from fund.models import Model
from fund.rows import Rows
from fund.topic_state import Answers
from protocol.errors import RefusedError
from protocol.head.head import HeadTopic
from protocol.head.units import NANO
from validator.record import Known

#: Text of a module by its block hash, as :meth:`protocol.ledger.ledger.Ledger.source` gives it.
Source = Callable[[str], str]


class Asking(Protocol):
    """What answers for models: :class:`fund.models.Questions`."""

    @property
    def rows(self) -> Rows:
        """Rows of the topic in one version of a dataset."""

    def answers(self, models: tuple[Model, ...], time: int, /, *, ahead: bool) -> Answers:
        """Return what the models say of the bar that opens at `time`; DataError where that cannot be asked."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Those who may speak for a topic in a HEAD.

    Attributes
    ----------
    models : tuple of Model
        With their prior weights, in order of hash.
    broken : mapping of block hash to (weight, why)
        Standing blocks whose module this version cannot read.
    """

    models: tuple[Model, ...] = ()
    broken: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, topic: HeadTopic, source: Source) -> Speakers:
        """Return the speakers of a topic of a HEAD."""
        models, broken = list[Model](), dict[str, tuple[float, str]]()
        for one in topic.models:
            weight = one.weight / NANO
            try:
                contender = Known(source(one.hash).encode()).contender
            except RefusedError as error:
                broken[one.hash] = weight, str(error)
            else:
                models.append(Model(one.hash, contender.text, contender.seed, weight))
        return cls(tuple(models), broken)

    def asked(self, questions: Asking, time: int) -> Answers:
        """Return what they say of a bar; the broken ones are among those who failed.

        Raises
        ------
        DataError
            The bar cannot be asked.
        ClusterError, ConfigError
            The jail cannot be had.
        """
        answers = questions.answers(self.models, time, ahead=True)  # one fit a period; no answer depends on it
        standing = {name: weight for name, (weight, _) in self.broken.items()}
        failed = {name: why for name, (_, why) in self.broken.items()}
        return replace(answers, standing={**answers.standing, **standing}, failed={**answers.failed, **failed})
