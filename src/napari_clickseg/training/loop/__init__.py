"""The loop that trains; nothing in it knows the task."""
