"""A house that lets its rooms: two tables of its own beside those of rayces-core."""
