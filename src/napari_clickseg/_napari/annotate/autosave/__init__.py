"""Keeping what is made of images, so that no crash takes it away."""
