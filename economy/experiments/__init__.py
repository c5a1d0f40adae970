"""The numerical experiments of the Allora white paper and what attackers gain, driven by `protocol.consensus`."""
