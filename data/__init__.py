"""The standard series: format, sources, store, features, target, walk-forward splits."""
