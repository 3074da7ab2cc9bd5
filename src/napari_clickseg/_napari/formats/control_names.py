"""What is asked for in the Files widget, and what messages call it there.

Messages name options of the command line, which the widget's user has never seen.
"""

from __future__ import annotations

REPLACE_FILES = "Replace files that are there"
REPLACE_MASKS = "Replace masks that the project has"
SKIP = "Leave out what can't be used"
REALLY_EMPTY = "Images without an object are empty"
BY_FOLDER = "Images of a folder are a group"
FORMAT, IMAGES, MASKS_END, COLOURS = "Format", "Images", "Masks end", "Colours"
# Each in the words around it, as sentences differ; the longest first.
_PHRASES = (
    ("add --overwrite", f"tick “{REPLACE_FILES}”"),
    ("see --overwrite", f"see “{REPLACE_MASKS}”"),
    ("out with --skip", f"out with “{SKIP}”"),
    ("with --empty there", f"with “{REALLY_EMPTY}” there"),
    ("with --mask-suffix _mask", f"with “{MASKS_END}”, such as _mask"),
    ("--mask-suffix _mask", f"“{MASKS_END}”, such as _mask"),
    ("see --mask-suffix", f"see “{MASKS_END}”"),
    ("with --from", f"under “{FORMAT}”"),
    ("or --palette yes", "or yes"),
    ("--palette ", f"write under “{COLOURS}” "),
    ("give it with --image.", "export a project whose images are DICOM."),
    ("or --image with a mask", "or open the image"),
    ("--image goes", "An image goes"),
    ("--images", f"“{IMAGES}”"),
)


def in_window(text: str) -> str:
    """Return a message with the names of controls in place of those of options."""
    for option, control in _PHRASES:
        text = text.replace(option, control)
    return text
