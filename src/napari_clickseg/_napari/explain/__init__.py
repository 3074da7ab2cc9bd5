"""What a network sees, as layers on the image."""
