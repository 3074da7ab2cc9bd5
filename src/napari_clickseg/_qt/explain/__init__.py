"""The Explain widget."""
