"""Where work runs and is kept: settings, homes, logging, clusters."""
