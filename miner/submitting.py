"""Submitting as people do it: checked, shown, confirmed, sent once, judged if this home has a validator, and explained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from infra.amounts import ltft
from infra.home import find_home
from infra.network import LOCAL, MINER, OpenLedger, account_name, find_key, key_path, open_network
from infra.settings import Settings
from infra.topics import find_topic
from miner.judging import can_judge, full_lines, gates_of, judge
from miner.precheck import Module, check_fit, check_original
from miner.sealing import Sealings
from miner.standing import Lines, standing
from miner.submission import cost_of, open_submission, submit
from protocol.errors import ConfigError, DataError
from protocol.keys import Key
from protocol.ledger.state import State
from protocol.topics import Topic

if TYPE_CHECKING:
    from miner.view import View

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who submits where.

    Attributes
    ----------
    settings : Settings
    key : Key
    name : str
        Of the account, if it is still to be opened.
    ledger : Ledger
    """

    settings: Settings
    key: Key
    name: str
    ledger: OpenLedger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    @classmethod
    def of(cls, settings: Settings, *, ask: bool) -> Sender:
        """Open ledger and key, so that what is missing shows before any work.

        Parameters
        ----------
        settings : Settings
        ask : bool
            Whether a terminal may be asked for the password.

        Raises
        ------
        ConfigError, DataError
            Ledger or key cannot be opened.
        """
        ledger = open_network(settings)
        try:
            key = find_key(settings, MINER, ask=ask)
        except BaseException:
            ledger.close()
            raise
        return cls(settings, key, account_name(key_path(settings, MINER).stem), ledger)

    def state(self) -> State:
        """Return the state of the ledger as it is now."""
        return self.ledger.now()

    def check(self, module: Module, topic: str, shape: Callable[[], tuple[int, int] | None]) -> Lines:
        """Check a module with the code that validators use, and return what submitting it would do and cost.

        Parameters
        ----------
        module : Module
        topic : str
            Name.
        shape : callable
            Gives columns, and rows of the smallest training part; None where they are not known here.

        Returns
        -------
        list of (label, text)
            Empty if the ledger has the module already.

        Raises
        ------
        RefusedError
            Validators would refuse it as invalid, or the balance does not suffice.
        """
        state = self.state()
        if open_submission(state, module.block_hash) is not None:
            return []
        check_original(module, topic, self.ledger, state)
        known = shape()
        if known is not None:
            check_fit(module, n_features=known[0], n_samples=known[1])
        cost = cost_of(
            state, self.key.address, Sealings.of(self.ledger.domain, self.key.address).find(module.block_hash)
        )
        params, where = state.params, self.settings.ledger
        bond = f"bond {ltft(params.bond)} {'(held already)' if cost.committed else ''}".rstrip()
        return [
            ("submit", f"{module.block_hash}  {module.words}"),
            ("as", f"submission {state.counts.get(topic, 0) + 1} of {topic}, by {self.key.address} ({self.name})"),
            ("to", f"{'the local ledger' if where == LOCAL else where}; validators: {len(state.validators)}"),
            ("costs", f"{bond}, back unless the module is invalid; fee {ltft(cost.fee)}; balance {ltft(cost.balance)}"),
            ("then", "committed, revealed, judged by the validators; if accepted, it becomes a model block of yours"),
        ]

    def send(self, module: Module, topic: str, say: Say) -> dict[str, Any]:
        """Submit a module; return where it stands, with `new` telling whether this call revealed it."""
        submission, new = submit(self.ledger, self.key, module, topic, name=self.name, say=say)
        return {**standing(self.state(), submission), "new": new}

    def judge(self, block_hash: str, data: str, view: View) -> dict[str, Any]:
        """Let this home's validator judge, if it has one and the submission is open; return where that stands then.

        Parameters
        ----------
        block_hash : str
        data : str
            Dataset to judge on.
        view : View
            Shows the validator's log.

        Raises
        ------
        ConfigError, ClusterError
            The validator cannot judge here, or failed.
        """
        state = self.state()
        if state.submissions[block_hash].status == "open" and can_judge(state):
            judge(self.settings, data=data, view=view)
            state = self.state()
        submission = state.submissions[block_hash]
        return {**standing(state, submission), "gates": gates_of(submission)}

    def lines(self, facts: dict[str, Any]) -> Lines:
        """Return where a submission stands as lines for people."""
        return full_lines(facts, self.state())


def refuse_unnamed(topic: Topic) -> None:
    """Refuse a topic that nobody finds by its name: the ledger, and with it the validators, knows names only.

    Raises
    ------
    ConfigError
        The name stands for nothing here, or for another topic.
    """
    known = None
    with suppress(ConfigError):
        known = find_topic(topic.name)
    if known != topic:
        place = find_home().topics / f"{topic.name}.toml"
        raise ConfigError(
            f"a submission names its topic, and {topic.name} is not known by that name; put its file at {place}"
        )


def shape_on(topic: Topic, data: str, say: Say) -> tuple[int, int] | None:
    """Return columns and rows of the smallest training part of a topic on a dataset; None where there is no such data here.

    Parameters
    ----------
    topic : Topic
    data : str
        Dataset, as in the settings.
    say : callable
        Told why not.
    """
    from data.checked import checked_panel
    from data.dataset import Dataset
    from data.panel_store import panels_folder
    from data.sample import dataset_uri
    from data.splits import MAX_TRAIN_ROWS, thin, walk_forward

    try:
        panel = checked_panel(Dataset.open(dataset_uri(data)), topic, panels_folder())
        split = walk_forward(panel.time, horizon=topic.horizon)
    except DataError as error:
        say(f"not checked against data: {error}")
        return None
    return len(panel.feature_names), min(len(thin(panel.time, fold.train, MAX_TRAIN_ROWS)) for fold in split.folds)
