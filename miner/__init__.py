"""The miner: evolves pipelines over clusters and leaves the best one as a module."""
