"""The journal of a run: its events, written, read, replayed and shown as tables."""

from dagrow.journal.events import SCHEMA, journal_schema
from dagrow.journal.history import growth_history
from dagrow.journal.reader import read_journal
from dagrow.journal.replay import Replay
from dagrow.journal.tables import candidates_table, history_table
from dagrow.journal.writer import Journal

__all__ = [
    "SCHEMA",
    "Journal",
    "Replay",
    "candidates_table",
    "growth_history",
    "history_table",
    "journal_schema",
    "read_journal",
]
