"""Saving what was annotated into a project: the one its images came from, or one the user names.

`write_saving` may run on any thread; all else looks at layers, so it belongs on the main thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_clickseg._napari.annotate.pairing import Pairing
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, snapshot
from napari_clickseg._napari.viewer import changes
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.metadata import (
    is_in_folder,
    is_under_review,
    note_complete_saved,
    origin_of,
    unsaved_complete,
)
from napari_clickseg.data.inspection.summary import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clickseg._napari.project.pairs import LayerPair, PairData
    from napari_clickseg._napari.viewer.writes import Write

_FOLDER_KEY = "napari-clickseg saved in"  # in an image's metadata: the project the user named


@dataclass(frozen=True, eq=False, slots=True)
class Saving:
    """What is to be saved, and where.

    Parameters
    ----------
    parts : tuple of (Path, tuple of PairData)
        For each project what goes into it.
    images : tuple of (Image, Path)
        Where each image is saved.
    changes : tuple of (Labels, tuple of Write, tuple of Write)
        Of each labels layer what was not saved yet, and all that its timeline holds.
    """

    parts: tuple[tuple[Path, tuple[PairData, ...]], ...]
    images: tuple[tuple[Image, Path], ...]
    changes: tuple[tuple[Labels, tuple[Write, ...], tuple[Write, ...]], ...]


def homeless(pairs: Sequence[LayerPair]) -> tuple[LayerPair, ...]:
    """Return the pairs whose image is in no project yet, so that the user has to name one."""
    return tuple(pair for pair in pairs if home_of(pair.image) is None)


def prepare_saving(
    viewer: ViewerModel, pairs: Sequence[LayerPair], folder: Path | None = None
) -> Saving:
    """Note what is to be saved; nothing is read yet.

    Parameters
    ----------
    viewer : ViewerModel
        Its displayed axes are those of the planes.
    pairs : sequence of LayerPair
        Images with their labels.
    folder : Path, optional
        The project of the images that are in none yet; without it they are left out.

    Raises
    ------
    CompanionError
        If a labels layer does not fit its image.
    """
    placed = [(pair, home_of(pair.image) or folder) for pair in pairs]
    into: dict[Path, list[LayerPair]] = {}
    for pair, where in placed:
        if where is not None:
            into.setdefault(where, []).append(pair)
    return Saving(
        tuple((where, _noted(viewer, some)) for where, some in into.items()),
        tuple((unwrapped(pair.image), where) for where, some in into.items() for pair in some),
        tuple(
            (unwrapped(pair.labels), changes_of(pair.labels), _written(pair.labels))
            for some in into.values()
            for pair in some
        ),
    )


def _noted(viewer: ViewerModel, pairs: Sequence[LayerPair]) -> tuple[PairData, ...]:
    """Note what is in layers, and what changed in those that show what a project holds."""
    return tuple(
        replace(data, erasable=changes_of(pair.labels)) if _shows_project(pair.labels) else data
        for pair, data in zip(pairs, snapshot(pairs, viewer.dims), strict=True)
    )


def _shows_project(labels: Labels) -> bool:
    return origin_of(labels) is not None or changes.was_saved(labels)


def write_saving(
    saving: Saving, progress: Callable[[int, int], object] | None = None
) -> tuple[str, ...]:
    """Write masks, classes and clicks into the projects, and say what was saved.

    Records that are there keep all else, and so do images without any label; but where all objects
    of an image were erased, its mask goes.

    Raises
    ------
    ProjectError
        If nothing is annotated, or a project can't be written to.
    """
    said = []
    for folder, pairs in saving.parts:
        done = gather(pairs, folder, progress=progress)
        if done.annotated:
            masks = number(len(done.annotated), "mask is", "masks are")
            said.append(f"{masks} saved in {folder}.")
        if done.cleared:
            images = number(len(done.cleared), "image is", "images are")
            said.append(f"{images} not annotated any more in {folder}, as all objects were erased.")
    return tuple(said)


def note_saved(saving: Saving) -> None:
    """Note what was saved, so that it goes to the same place the next time."""
    for image, folder in saving.images:
        note_home(image, folder)
    for labels, changed, written in saving.changes:
        changes.note_saved(labels, changed, written if _pairing(labels) is not None else ())
        note_complete_saved(labels)


def to_save(viewer: ViewerModel) -> tuple[LayerPair, ...]:
    """Return what was annotated in a viewer: labels that changed, or are being annotated.

    What a folder that is gone through saves by itself is left out.
    """
    return tuple(
        pair
        for pair in pairs_of(viewer)
        if not is_in_folder(pair.labels)
        if changes_of(pair.labels)
        or unsaved_complete(pair.labels)
        or ((pairing := _pairing(pair.labels)) is not None and pairing.scene.next_id > 1)
    )


def changes_of(labels: Labels) -> tuple[Write, ...]:
    """Return what was done to a labels layer since it was opened or saved in a project."""
    return changes.since_saved(labels, _written(labels))


def unsaved_by_layer(viewer: ViewerModel) -> dict[str, int]:
    """Count what was done and is not saved, for each labels layer by its name.

    Objects accepted or deleted count, strokes, and images that are said to be complete, or not.
    """
    every = [unwrapped(layer) for layer in viewer.layers]
    counts = {
        layer.name: len(changes_of(layer)) + unsaved_complete(layer)
        for layer in every
        if isinstance(layer, Labels) and not (is_under_review(layer) or is_in_folder(layer))
    }
    return {name: n for name, n in counts.items() if n}


def _pairing(labels: Labels) -> Pairing | None:
    labels = unwrapped(labels)
    every = (one for one in list(Pairing.alive) if one.annotation is not None)
    return next((one for one in every if unwrapped(one.annotation) is labels), None)


def _written(labels: Labels) -> tuple[Write, ...]:
    """Return all that the timeline of a layer holds; nothing where it has none."""
    pairing = _pairing(labels)
    return pairing.timeline.writes if pairing is not None else ()


def note_home(image: Image, folder: Path) -> None:
    """Note the project that an image was put into, so that it goes there the next time."""
    if origin_of(image) is None:
        image.metadata[_FOLDER_KEY] = str(folder)


def home_of(image: Image) -> Path | None:
    """Return the project that an image came from, or was saved in."""
    image = unwrapped(image)
    origin = origin_of(image)
    folder = origin.folder if origin is not None else image.metadata.get(_FOLDER_KEY)
    return Path(folder) if isinstance(folder, str) and folder else None
