"""Where the user's models came from; it is shown, and decides nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_clickseg.models.registry import user_folder
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = "origins.json"  # beside the models


def origins() -> dict[str, dict[str, str]]:
    """Return where the user's models came from, by name: `source`, `sha256` and `when`.

    Models that were put into the folder otherwise are not in it.
    """
    try:
        known = json.loads((user_folder() / _FILE).read_text("utf-8"))
        return {
            str(name): {str(k): str(v) for k, v in about.items()} for name, about in known.items()
        }
    except (OSError, ValueError, AttributeError, RecursionError):  # missing, or meddled with
        return {}


def note_origin(name: str, about: Mapping[str, str] | None) -> None:
    """Note where a model came from; None: it is gone.

    Raises
    ------
    OSError
        If it can't be written.
    """
    known = {key: value for key, value in origins().items() if key != name}
    if about is not None:
        known[name] = dict(about)
    text = json.dumps(known, indent=2) + "\n"
    path = user_folder() / _FILE
    if about is not None or path.exists():
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
