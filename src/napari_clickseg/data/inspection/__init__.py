"""What is in a project, and what won't work."""
