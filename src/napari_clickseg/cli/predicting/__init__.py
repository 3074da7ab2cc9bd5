"""Ways of `clickseg predict` beside clicks: all objects of an image, the rest of a project."""
