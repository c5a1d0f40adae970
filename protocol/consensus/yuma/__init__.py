"""Bittensor's Yuma consensus: weights and stake to incentives, bonds and dividends, and the money around them."""
