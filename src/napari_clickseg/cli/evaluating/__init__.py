"""Verbs that measure models by clicks: those of an oracle, and those that somebody made."""
