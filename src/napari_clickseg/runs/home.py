"""Where runs are kept, and what they are called."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

_NOT_PLAIN = re.compile(r"[^\w.-]+")


def default_home() -> Path:
    """Return the folder for projects made of layers and for runs; CLICKSEG_HOME moves it."""
    chosen = os.environ.get("CLICKSEG_HOME")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("napari-clickseg")


def plain_name(text: str) -> str:
    """Return a name that every file system takes, as much like a text as possible."""
    return _NOT_PLAIN.sub("-", text).strip("-. ")[:60] or "model"


def new_run(home: Path, name: str) -> Path:
    """Return the path of a folder for a new run; it is not there yet."""
    stem = f"{plain_name(name)}-{time.strftime('%Y-%m-%d-%H%M')}"
    path, number = home / "runs" / stem, 1
    while path.exists():
        number += 1
        path = home / "runs" / f"{stem}-{number}"
    return path


def known_run(name: str) -> Path:
    """Return a run's folder: the path itself, or the run of that name that napari keeps."""
    known = default_home() / "runs" / name
    return known if known.is_dir() and not Path(name).is_dir() else Path(name)
