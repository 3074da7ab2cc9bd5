"""Files, text and history: what every other room may use."""
