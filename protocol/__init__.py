"""The rules every player must agree on, as pure functions."""
