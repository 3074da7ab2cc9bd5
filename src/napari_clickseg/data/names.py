"""Names of images that are names of files on every system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from napari_clickseg.data.errors import ProjectError

VERSION_MARK = "~"  # between a name and a number, where a file of that name is in use
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|~]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 120  # bytes; systems take 255, suffixes and partial files need some


def safe_name(text: str) -> str:
    """Return a name like `text` that can be the name of a file; different texts may coincide."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    name = name.encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore").strip(" .")
    return f"_{name}" if _RESERVED.fullmatch(name) else name or "image"


def check_name(name: str) -> None:
    """Raise ProjectError if a name can't be the name of a file."""
    if name != safe_name(name):
        raise ProjectError(
            f"'{name}' can't be the name of a file everywhere; call the image "
            f"'{safe_name(name)}', for example."
        )


def image_stem(image: str) -> str:
    """Return the name of a file without its ending, or without both where it is packed."""
    stem = PurePosixPath(image).stem
    return stem[:-4] if image.lower().endswith(".nii.gz") else stem


def record_name(image: str) -> str:
    """Return the name of a record, given its image's path within the project."""
    stem = image_stem(image)
    name, mark, number = stem.rpartition(VERSION_MARK)
    return name if mark and number.isdigit() else stem
