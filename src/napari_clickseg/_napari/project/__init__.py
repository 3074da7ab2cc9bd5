"""Layers become a project folder, and a project folder becomes layers."""
