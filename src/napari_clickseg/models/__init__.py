"""Networks and how they are kept."""
