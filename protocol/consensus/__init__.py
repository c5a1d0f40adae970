"""How many imperfect predictors and judges become one prediction, one score and one split of rewards.

Pure functions of arrays: :mod:`protocol.consensus.allora` follows the Allora white paper's equations 1-58,
:mod:`protocol.consensus.yuma` Bittensor's consensus and its money. Nothing here reads a clock, a file or a random number.
"""
