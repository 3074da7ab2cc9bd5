"""The objects of the displayed plane as a list; what is done to several of them."""
