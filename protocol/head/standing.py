"""Which model blocks speak for a topic, and with how much prior weight: as much as live evidence has given them.

Crowned and screened blocks speak, dropped ones never again. The weight depends on the evidence alone, so a block that is
crowned gains no jump, and a crowned one whose evidence falls fades before it is dropped. It is the weight a model
starts from; what it is worth in a topic's inference is decided by its regrets.
"""

from __future__ import annotations

from protocol.head.head import HeadModel, HeadTopic
from protocol.head.units import NANO
from protocol.ledger.params import Params
from protocol.ledger.state import State

#: Screened blocks that speak for a topic at most: each is fitted and asked by everybody who checks a HEAD.
MAX_PROVISIONAL = 20


def prior_weight(log_e: int, params: Params) -> int:
    """Return the prior weight of a block with this evidence, in billionths.

    The cubic "smoothstep" 3x^2 - 2x^3 of the evidence's place x between dropping (0) and crowning (1), rounded down. Its
    slope is 0 at both ends: a block on its way out disappears without a step, and evidence beyond crowning adds
    nothing. Without any evidence it is about a third with the default parameters (x = 0.39).

    Parameters
    ----------
    log_e : int
        Millionths of a nat.
    params : Params
        ``drop_log_e`` and ``crown_log_e``.

    Returns
    -------
    int
        0 to 10**9, never falling with `log_e`; exact, in whole numbers.
    """
    if log_e >= params.crown_log_e:
        return NANO
    if log_e <= params.drop_log_e:
        return 0
    risen, span = log_e - params.drop_log_e, params.crown_log_e - params.drop_log_e
    return NANO * risen**2 * (3 * span - 2 * risen) // span**3


def standing(state: State, topic: str) -> HeadTopic:
    """Return the models that speak for a topic, in order of hash; none is possible.

    All crowned blocks, and the :data:`MAX_PROVISIONAL` screened ones with the most evidence, the older of two equals.
    Blocks whose weight rounds to 0 are silent.

    Parameters
    ----------
    state : State
        Of the ledger; :func:`protocol.ledger.rules.advance` it to the HEAD's time first, so that old blocks are retired.
    topic : str
    """
    blocks = [one for one in state.standing_blocks(topic) if prior_weight(one.log_e, state.params)]
    crowned = [one for one in blocks if one.status == "crowned"]
    screened = sorted((one for one in blocks if one.status == "screened"), key=lambda one: (-one.log_e, one.number))
    models = [HeadModel(one.hash, "crowned", prior_weight(one.log_e, state.params)) for one in crowned]
    models += [
        HeadModel(one.hash, "provisional", prior_weight(one.log_e, state.params)) for one in screened[:MAX_PROVISIONAL]
    ]
    return HeadTopic(topic, tuple(sorted(models, key=lambda model: model.hash)))
