"""Label arrays too large for memory."""
