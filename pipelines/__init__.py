"""The exchanged artefact: search spaces, module format, parser, canonical hash, registry of allowed estimators."""
