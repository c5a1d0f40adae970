"""The data that HEADs are made on: every topic of a fund in one version of a dataset, opened when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.dataset import Dataset
from data.panel import panel_key
from fund.cycle import Data
from fund.desk import Feed
from fund.models import Questions
from fund.quotes import Quotes
from fund.rows import rows_of
from protocol.topics import Topic
from validator.evaluation import Replays


@dataclass(slots=True)
class Feeds:
    """Opens versions of a dataset for the topics of a fund; the one used last is kept.

    A versioned dataset is looked at every time for something newer; a bare file or tree is taken as it was found first.

    Attributes
    ----------
    uri : str
    topics : sequence of Topic
    replays : Replays
        The jail, its limits, and the memory of answers.
    refit_us : int
        Microseconds between fits of a model.
    panels : Path
        Cache in which a checked panel is remembered.
    """

    uri: str
    topics: Sequence[Topic]
    replays: Replays
    refit_us: int
    panels: Path
    _dataset: Dataset | None = field(default=None)
    _data: Data | None = field(default=None)

    def newest(self) -> Data:
        """Return the newest version.

        Raises
        ------
        DataError
            There is none, it breaks the format, or a topic cannot be made of it.
        """
        if self._dataset is None or not self._dataset.is_bare:
            self._dataset = Dataset.open(self.uri)
        return self._opened(self._dataset)

    def at(self, root: str) -> Data:
        """Return the version with a content root.

        Raises
        ------
        DataError
            It is not here (yet), or as for :meth:`newest`.
        """
        if self._data is not None and self._data.root == root:
            return self._data
        return self._opened(Dataset.open(self.uri, root))

    def _opened(self, dataset: Dataset) -> Data:
        root = dataset.known_root
        if self._data is None or self._data.root != root:
            self._data = Data(root, [self._feed(dataset, topic) for topic in self.topics])
        return self._data

    def _feed(self, dataset: Dataset, topic: Topic) -> Feed:
        rows = rows_of(dataset, topic, self.panels)
        table = dataset.read(type=topic.type, broker=topic.broker, sectors=topic.sectors, symbols=topic.symbols)
        key = panel_key(dataset.known_root, topic)
        return Feed(topic, Quotes.of(table), Questions(rows, key, self.replays, refit_us=self.refit_us))
