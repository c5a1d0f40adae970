"""The append-only, hash-linked, signed event log and its state machine."""
