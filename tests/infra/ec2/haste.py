"""A policy for tests: as many tries as in earnest, and pauses so short that patience takes no time."""

from __future__ import annotations

from infra.ec2.client import Patience

HASTE = Patience(tries=6, first_s=0.01, longest_s=0.05, total_s=20.0, settle_s=0.3)
