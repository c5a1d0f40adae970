"""The player who judges: replays strangers' modules in a jail, scores them, and reports to the ledger."""
