"""`clickseg demo`: a mouse that clicks by itself."""
