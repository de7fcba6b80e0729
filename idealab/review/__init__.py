"""Judging what a ledger already holds: once more, together with other runs, and against earlier tries."""
