"""The task of a click model."""
