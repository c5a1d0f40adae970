"""The jail in which strangers' pipelines are fitted and asked."""
