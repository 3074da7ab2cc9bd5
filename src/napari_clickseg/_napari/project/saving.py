"""Saving what was annotated into a project: the one its images came from, or one the user names.

`homeless`, `prepare_saving`, `note_saved` and `unsaved` look at layers, so they belong on the main
thread; `write_saving` may run on any.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.pairing import Pairing
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import snapshot
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.metadata import origin_of
from napari_clickseg.data.inspection.summary import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_clickseg._napari.project.pairs import LayerPair, PairData

__all__ = ["Saving", "homeless", "note_saved", "prepare_saving", "unsaved", "write_saving"]

_FOLDER_KEY = "napari-clickseg saved in"  # in an image's metadata: the project the user named
_saved: weakref.WeakKeyDictionary[Any, tuple[Any, ...]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False, slots=True)
class Saving:
    """What is to be saved, and where.

    Parameters
    ----------
    parts : tuple of (Path, tuple of PairData)
        For each project what goes into it.
    images : tuple of (Image, Path)
        Where each image is saved.
    objects : tuple of (Labels, tuple of Accepted)
        The accepted objects that are saved, by the layer they are in.
    """

    parts: tuple[tuple[Path, tuple[PairData, ...]], ...]
    images: tuple[tuple[Image, Path], ...]
    objects: tuple[tuple[Labels, tuple[Any, ...]], ...]


def homeless(pairs: Sequence[LayerPair]) -> tuple[LayerPair, ...]:
    """Return the pairs whose image is in no project yet, so that the user has to name one."""
    return tuple(pair for pair in pairs if _home(pair.image) is None)


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
    placed = [(pair, _home(pair.image) or folder) for pair in pairs]
    into: dict[Path, list[LayerPair]] = {}
    for pair, where in placed:
        if where is not None:
            into.setdefault(where, []).append(pair)
    return Saving(
        tuple((where, snapshot(some, viewer.dims)) for where, some in into.items()),
        tuple((unwrapped(pair.image), where) for where, some in into.items() for pair in some),
        tuple((unwrapped(pair.labels), pair.objects) for some in into.values() for pair in some),
    )


def write_saving(
    saving: Saving, progress: Callable[[int, int], object] | None = None
) -> tuple[str, ...]:
    """Write masks, classes and clicks into the projects, and say what was saved.

    Records that are there keep all else, and so do images without any label; nothing is removed.

    Raises
    ------
    ProjectError
        If nothing is annotated, or a project can't be written to.
    """
    said = []
    for folder, pairs in saving.parts:
        done = gather(pairs, folder, progress=progress)
        said.append(f"{number(len(done.annotated), 'mask is', 'masks are')} saved in {folder}.")
    return tuple(said)


def note_saved(saving: Saving) -> None:
    """Note what was saved, so that it goes to the same place the next time."""
    for image, folder in saving.images:
        if origin_of(image) is None:
            image.metadata[_FOLDER_KEY] = str(folder)
    for labels, objects in saving.objects:
        _saved[labels] = objects


def unsaved(viewer: ViewerModel) -> int:
    """Count the accepted objects of a viewer that were not saved since they were accepted."""
    there = {unwrapped(layer) for layer in viewer.layers}
    count = 0
    for pairing in list(Pairing.alive):
        labels = unwrapped(pairing.annotation)
        if labels not in there or pairing.under_review:
            continue
        known = set(map(id, _saved.get(labels, ())))
        count += sum(id(one) not in known for one in pairing.scene.objects)
    return count


def _home(image: Image) -> Path | None:
    """Return the project that an image came from, or was saved in."""
    image = unwrapped(image)
    origin = origin_of(image)
    folder = origin.folder if origin is not None else image.metadata.get(_FOLDER_KEY)
    return Path(folder) if isinstance(folder, str) and folder else None
