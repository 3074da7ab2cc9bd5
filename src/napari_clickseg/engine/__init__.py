"""Prompts in, masks out."""
