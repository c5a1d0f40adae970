"""The HEAD block: which models speak in a period, and the roots of what they said and of what everybody has earned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from protocol.errors import RefusedError
from protocol.head import merkle
from protocol.head.claims import Claims
from protocol.head.merkle import Proof
from protocol.head.prediction import Prediction, in_tree_order
from protocol.head.schedule import MAX_PERIOD
from protocol.head.units import NANO
from protocol.head.wire import fields_of, list_of, read_canonical, whole
from protocol.ledger.commitments import canonical
from protocol.ledger.kinds import MAX_UINT, is_hash
from protocol.topics import NAME

VERSION = 1
#: With 500 signatures it fits an event of the ledger.
MAX_HEAD_BYTES = 131_072
ROLES = ("crowned", "provisional")
Role = Literal["crowned", "provisional"]

_PLAIN = (
    "period",
    "parent",
    "height",
    "ledger",
    "data_root",
    "predictions_root",
    "prediction_count",
    "rewards_root",
    "reward_accounts",
    "reward_total",
)


@dataclass(frozen=True, slots=True)
class HeadModel:
    """A model that speaks.

    Attributes
    ----------
    hash : str
        Block hash.
    role : {"crowned", "provisional"}
    weight : int
        Prior weight by its evidence, billionths, 1 to 10**9; see :func:`protocol.head.standing.prior_weight`.

    Raises
    ------
    RefusedError
        A value is of another type or out of range.
    """

    hash: str
    role: Role
    weight: int

    def __post_init__(self) -> None:
        if not is_hash(self.hash) or self.role not in ROLES:
            raise RefusedError(
                f"{self.hash!r:.80} as {self.role!r:.20} is no block hash with one of {', '.join(ROLES)}"
            )
        whole(self.weight, f"the weight of {self.hash}", 1, NANO)


@dataclass(frozen=True, slots=True)
class HeadTopic:
    """The models of a topic, in order of hash; none is possible, and then nobody speaks on it.

    Raises
    ------
    RefusedError
        The name is no slug, or the models are out of order or named twice.
    """

    topic: str
    models: tuple[HeadModel, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.topic, str) or not NAME.match(self.topic):
            raise RefusedError(f"topic {self.topic!r:.80} of a HEAD is not a slug")
        hashes = [model.hash for model in self.models]
        if hashes != sorted(set(hashes)):
            raise RefusedError(f"the models of {self.topic} are not in order of hash, or one is named twice")


@dataclass(frozen=True, slots=True)
class Head:
    """What is stamped in a period. A HEAD with few models, or none, is valid: its topics show it.

    Attributes
    ----------
    period : int
        Unix time // 600.
    parent : str
        Hash of the HEAD before; of the ledger's genesis for the first.
    height, ledger : int, str
        The ledger's record, by height and hash, up to which everything here was read: standing, evidence, stakes.
    data_root : str
        Content root of the dataset the models were fitted and asked on.
    topics : tuple of HeadTopic
        In order of name.
    predictions_root, prediction_count : str, int
        Merkle root of the predictions in the order of :func:`protocol.head.prediction.in_tree_order`, and their number.
    rewards_root, reward_accounts, reward_total : str, int, int
        Merkle root of what everybody has earned since the genesis, this HEAD included, :class:`protocol.head.claims.Claims`;
        how many accounts, and how many wei together.

    Raises
    ------
    RefusedError
        A value is of another type, out of range or out of order.
    """

    period: int
    parent: str
    height: int
    ledger: str
    data_root: str
    topics: tuple[HeadTopic, ...]
    predictions_root: str
    prediction_count: int
    rewards_root: str
    reward_accounts: int
    reward_total: int

    def __post_init__(self) -> None:
        whole(self.period, "the period of a HEAD", 0, MAX_PERIOD)
        whole(self.height, "the height in a HEAD")
        whole(self.reward_total, "the reward_total of a HEAD", 0, MAX_UINT)
        for name in ("parent", "ledger", "data_root", "predictions_root", "rewards_root"):
            if not is_hash(getattr(self, name)):
                raise RefusedError(f"{name} of a HEAD is {getattr(self, name)!r:.80}; write 64 lower-case hex digits")
        for count, root in (("prediction_count", "predictions_root"), ("reward_accounts", "rewards_root")):
            number = whole(getattr(self, count), f"the {count} of a HEAD", 0, merkle.MAX_SIZE)
            if (number == 0) != (getattr(self, root) == merkle.EMPTY_ROOT):
                raise RefusedError(f"{count} of a HEAD is {number}, which does not fit its {root}")
        names = [topic.topic for topic in self.topics]
        if names != sorted(set(names)):
            raise RefusedError("the topics of a HEAD are not in order of name, or one is named twice")
        if len(text := self.text) > MAX_HEAD_BYTES:
            raise RefusedError(f"the HEAD has {len(text)} bytes; at most {MAX_HEAD_BYTES} are taken: name fewer models")

    @classmethod
    def of(
        cls,
        *,
        period: int,
        parent: str,
        height: int,
        ledger: str,
        data_root: str,
        topics: Iterable[HeadTopic],
        predictions: Iterable[Prediction],
        claims: Claims,
    ) -> Self:
        """Return the HEAD of these models, predictions and earnings, in any order.

        Raises
        ------
        RefusedError
            A prediction is of a topic, or by a model, that does not speak; two are of one series; a value does not fit.
        """
        ordered = tuple(sorted(topics, key=lambda one: one.topic))
        speaking = {topic.topic: {model.hash for model in topic.models} for topic in ordered}
        listed = in_tree_order(predictions)
        for one in listed:
            if strange := sorted({block for block, _ in one.models} - speaking.get(one.topic, set())):
                raise RefusedError(f"{one.symbol} in {one.topic} is by {strange[0]}, which does not speak there")
        return cls(
            period=period,
            parent=parent,
            height=height,
            ledger=ledger,
            data_root=data_root,
            topics=ordered,
            predictions_root=merkle.root([one.leaf for one in listed]),
            prediction_count=len(listed),
            rewards_root=claims.root,
            reward_accounts=len(claims.totals),
            reward_total=claims.total,
        )

    @property
    def models_root(self) -> str:
        """Merkle root of the models: canonical JSON of hash, role, topic and weight of each, in the order of the HEAD."""
        return merkle.root([canonical(leaf).encode() for leaf in self._models()])

    @property
    def text(self) -> str:
        """The canonical JSON."""
        return canonical(self.to_dict())

    @property
    def hash(self) -> str:
        """The sha256 of the canonical JSON: what validators sign and the next HEAD names as its parent."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        topics = [
            {
                "topic": topic.topic,
                "models": [{"hash": one.hash, "role": one.role, "weight": one.weight} for one in topic.models],
            }
            for topic in self.topics
        ]
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**plain, "version": VERSION, "topics": topics, "models_root": self.models_root}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a HEAD that a stranger wrote; refused unless it is the canonical text of one.

        Raises
        ------
        RefusedError
            It is not, a value does not fit, or the version or the models' root is another.
        """
        raw = read_canonical(text, "a HEAD", MAX_HEAD_BYTES)
        values = dict(fields_of(raw, "a HEAD", (*_PLAIN, "version", "topics", "models_root")))
        version, models_root = values.pop("version"), values.pop("models_root")
        if type(version) is not int or version != VERSION:
            raise RefusedError(f"the HEAD has version {version!r:.40}; this program reads version {VERSION}")
        head = cls(topics=topics_of(values.pop("topics")), **values)
        if head.models_root != models_root:
            raise RefusedError(f"models_root of the HEAD is {models_root!r:.80}; its models have {head.models_root}")
        return head

    def check_follows(self, before: Head | None, genesis: str) -> None:
        """Check that this HEAD may come after another.

        Parameters
        ----------
        before : Head or None
            None for the first.
        genesis : str
            Hash of the ledger's genesis.

        Raises
        ------
        RefusedError
            Its parent is another, its period or ledger height is not later or goes back, or less was earned in all.
        """
        if self.parent != (expected := genesis if before is None else before.hash):
            raise RefusedError(f"the parent of HEAD {self.period} is {self.parent}; the one before it is {expected}")
        if before is None:
            return
        if self.period <= before.period:
            raise RefusedError(f"HEAD {self.period} cannot follow HEAD {before.period}; periods only ascend")
        if self.height < before.height or (self.height == before.height and self.ledger != before.ledger):
            raise RefusedError(f"HEAD {self.period} reads the ledger at {self.height}, its parent at {before.height}")
        if self.reward_total < before.reward_total or self.reward_accounts < before.reward_accounts:
            raise RefusedError(
                f"HEAD {self.period} takes earnings back: {before.reward_total} to {self.reward_total} wei"
            )

    def check_prediction(self, prediction: Prediction, proof: Proof) -> None:
        """Check that this HEAD says what a prediction says.

        Raises
        ------
        RefusedError
            The proof does not lead to its root of predictions.
        """
        if not merkle.verify(self.predictions_root, self.prediction_count, prediction.leaf, proof):
            raise RefusedError(
                f"the prediction of {prediction.symbol} in {prediction.topic} is not in HEAD {self.period}; "
                "fetch prediction and proof again, from another source if need be"
            )

    def _models(self) -> list[dict[str, str | int]]:
        return [
            {"topic": topic.topic, "hash": model.hash, "role": model.role, "weight": model.weight}
            for topic in self.topics
            for model in topic.models
        ]


def prove_prediction(predictions: Sequence[Prediction], prediction: Prediction) -> Proof:
    """Return the proof of one of the predictions of a HEAD.

    Raises
    ------
    RefusedError
        It is not among them.
    """
    ordered = in_tree_order(predictions)
    if prediction not in ordered:
        raise RefusedError(f"no prediction of {prediction.symbol} in {prediction.topic} like this was made")
    return merkle.prove([one.leaf for one in ordered], ordered.index(prediction))


def topics_of(raw: object) -> tuple[HeadTopic, ...]:
    """Return the topics of a HEAD from plain JSON values.

    Raises
    ------
    RefusedError
        They are none.
    """
    return tuple(_topic(one) for one in list_of(raw, "the topics of a HEAD"))


def _topic(raw: object) -> HeadTopic:
    values = fields_of(raw, "a topic of a HEAD", ("topic", "models"))
    models = [
        fields_of(one, "a model of a HEAD", ("hash", "role", "weight"))
        for one in list_of(values["models"], "the models of a topic")
    ]
    return HeadTopic(values["topic"], tuple(HeadModel(**model) for model in models))
