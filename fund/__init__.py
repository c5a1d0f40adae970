"""The simulated fund: what the recorded models say now, what is made of it, and what became of it."""
