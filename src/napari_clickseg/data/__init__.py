"""Images and masks on disk."""
