"""Measurements: ours and a peer side by side in one run. See docs/benchmarks.md."""
