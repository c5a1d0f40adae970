"""The token LTFT: pure rules in whole wei, every rounding against whoever trades, so that no sequence of actions makes money.

Nothing here reads a clock, a file or a random number; times are Unix seconds that the caller gives. Values are frozen:
an action returns the state after it.
"""
