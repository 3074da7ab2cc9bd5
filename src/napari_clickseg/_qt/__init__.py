"""Thin widgets: they show the state and call the controller. Qt only through qtpy."""
