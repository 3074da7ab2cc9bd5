"""What the user makes of an image, and the file in which nothing of it is lost."""
