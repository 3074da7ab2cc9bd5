"""Other programs' files: what is annotated goes out to them, and what they hold comes in.

All of them share one value, `annotated.AnnotatedImage`; docs/formats.md describes it, and says for
each format what is kept and what is lost.
"""
