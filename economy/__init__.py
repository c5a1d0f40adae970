"""Simulations over the protocol's own rules: experiments with the consensus, and later the token economy."""
