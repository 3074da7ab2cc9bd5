"""Models by name: the bundled one and the user's own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from napari_clickseg.models.checkpoint import ModelFileError

__all__ = ["ModelEntry", "find_model", "list_models", "user_folder"]

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be loaded by its name.

    Parameters
    ----------
    name : str
    path : Path
        Its .safetensors file.
    sha256 : str or None
        Known for bundled models: the file is checked against it.
    bundled : bool
        Whether it came with the program.
    """

    name: str
    path: Path
    sha256: str | None = None
    bundled: bool = False


def user_folder() -> Path:
    """Return the folder of the user's models; the variable CLICKSEG_MODELS moves it."""
    chosen = os.environ.get("CLICKSEG_MODELS")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("napari-clickseg") / "models"


def list_models() -> list[ModelEntry]:
    """List the models that can be loaded by name, bundled ones first."""
    known = BUNDLED / "sha256.json"
    sums = json.loads(known.read_text()) if known.exists() else {}
    entries = [
        ModelEntry(path.stem, path, sums.get(path.name), bundled=True)
        for path in sorted(BUNDLED.glob("*.safetensors"))
    ]
    taken = {entry.name for entry in entries}
    folder = user_folder()
    if folder.is_dir():
        entries += [
            ModelEntry(path.stem, path)
            for path in sorted(folder.glob("*.safetensors"))
            if path.stem not in taken and not path.name.startswith(".")  # not complete yet
        ]
    return entries


def find_model(name: str | os.PathLike[str]) -> ModelEntry:
    """Find a model by name, or by the path of its file.

    Raises
    ------
    ModelFileError
        If there is none.
    """
    models = list_models()
    for entry in models:
        if entry.name == os.fspath(name):
            return entry
    path = Path(name).expanduser()
    if path.suffix or path.exists():
        return ModelEntry(path.stem, path)
    names = ", ".join(entry.name for entry in models) or "none"
    raise ModelFileError(
        f"There is no model '{name}'; choose one of {names}, or give the path of a "
        ".safetensors file."
    )
