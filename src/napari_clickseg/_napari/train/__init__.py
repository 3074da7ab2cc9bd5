"""Trainings are set up, started and followed."""
