"""Models that come and go: added from elsewhere, and written for other programs."""
