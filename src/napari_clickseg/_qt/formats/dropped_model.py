"""A model's file, dropped on the viewer or opened: the user is asked whether to add it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari import current_viewer
from napari.utils.notifications import show_error

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import window_of
from napari_clickseg._qt.formats.model_dialog import ModelDialog
from napari_clickseg._qt.parts.files_widget import open_files
from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.models.sharing.offered import model_kind, offered_model
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.types import LayerDataTuple


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerDataTuple]] | None:
    """Return what offers a model's file to be added; None of other files, or of several."""
    files = _files(path)
    return _offer if len(files) == 1 and model_kind(files[0]) else None


def ask_to_add(viewer: Any, path: Path) -> ModelDialog | None:
    """Say what a model is, and add it if the user wishes; what is wrong with it is said at once.

    Returns
    -------
    ModelDialog or None
        The question, which is shown; None where the file is no model that can be used.
    """
    try:
        offered = offered_model(path)
    except (ModelFileError, OSError) as error:
        show_error(one_line(error))
        return None

    def add(name: str, said: dict[str, Any]) -> None:
        open_files(viewer, "Share").sharing.add(offered, name, **said)

    if viewer is None:
        show_error(f"Drop {path.name} on the window of napari to add it.")
        return None
    dialog = ModelDialog(window_of(unwrapped(viewer)), offered, add)
    dialog.open()
    return dialog


def _files(path: str | list[str]) -> list[Path]:
    """Return the files that are opened: dropped with Shift held, one comes in a list as well."""
    return [Path(one) for one in ([path] if isinstance(path, str) else path)]


def _offer(path: str | list[str]) -> list[LayerDataTuple]:
    ask_to_add(current_viewer(), _files(path)[0])
    return [(None,)]  # no layers
