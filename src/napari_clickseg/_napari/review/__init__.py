"""Predicted images are looked through, corrected and accepted."""
