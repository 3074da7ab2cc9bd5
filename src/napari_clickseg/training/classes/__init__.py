"""The task of a model of classes."""
