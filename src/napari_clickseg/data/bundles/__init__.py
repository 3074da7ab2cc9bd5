"""A project in one file, to be handed on: packed, and unpacked without trusting it."""
