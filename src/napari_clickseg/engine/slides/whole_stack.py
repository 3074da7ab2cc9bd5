"""A stack predicted whole: plane by plane, each as a slide, into one OME-Zarr with a pyramid."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.instances.joining import blocks
from napari_clickseg.data.annotations import Annotations
from napari_clickseg.data.images import open_image
from napari_clickseg.engine.slides.tile_files import TileFiles
from napari_clickseg.engine.slides.whole_slide import SlideError, SlidePrediction, predict_slide
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.formats.omezarr import begin_labels, finish_labels, saved_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_clickseg.data.images import StoredImage
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.slides.whole_slide import SlideOrder

_SIDE = 2048  # of the parts that are copied at once
_AXES = "TCZ"  # that a stack may have beside those of a plane


def predict_stack(
    segmenter: Segmenter,
    stored: StoredImage,
    out: Path,
    order: SlideOrder,
    about: AnnotatedImage,
    *,
    channels: Sequence[int] = (),
    anew: bool = False,
    stop: Callable[[], bool] = lambda: False,
    on_plane: Callable[[int, int], object] = lambda *_: None,
) -> SlidePrediction | None:
    """Predict all planes of a stack; see `predict_slide`.

    Planes know nothing of each other: an object on two of them has an id on each.

    Parameters
    ----------
    segmenter, out, order, about, anew, stop
        As for `predict_slide`.
    stored : StoredImage
        The stack, as `open_image` gives it.
    channels : sequence of int
        As for `StoredImage.plane`.
    on_plane : callable
        Called with the number of planes that are finished, and how many there are.

    Raises
    ------
    SlideError, UnfinishedError, ImageError, OSError
        As `predict_slide`.
    """
    _check_axes(stored)
    sizes = [n for _, n in stored.stack_axes]
    axes = "".join(name for name, _ in stored.stack_axes) + "YX"
    every, predictions = list(np.ndindex(*sizes)), []
    files, image = TileFiles(out), stored.levels[0]
    asked = {
        "image": [stored.name, list(image.shape), str(image.dtype), list(channels)],
        **asdict(order),
    }
    with files.begun(asked, anew=anew):
        places = [files.folder / f"plane-{number:06d}.zarr" for number in range(len(every))]
        for number, (index, place) in enumerate(zip(every, places, strict=True)):
            if saved_in(place) is None:  # else it was finished before
                plane = stored.plane(index, channels)
                one = predict_slide(
                    segmenter, plane.data, place, order, about, rgb=plane.rgb, anew=anew, stop=stop
                )
                if one is None:
                    return None
            predictions.append(_kept(place))
            on_plane(number + 1, len(every))
        whole, numbered = _summed(predictions), order.rules is not None and order.as_objects
        starts = np.cumsum([0, *(one.objects or 0 for one in predictions)]) * numbered
        ids = _put_together(files.group, places, sizes, starts, axes)
        known = replace(about, labels=ids, axes=axes, annotations=whole.notes)
        finish_labels(files.group, known, more={"model": order.model})
        files.finish()
    return whole


def _check_axes(stored: StoredImage) -> None:
    """See that OME-Zarr has a place for the axes of a stack."""
    names = [name for name, _ in stored.stack_axes]
    if len(names) > len(_AXES):
        raise SlideError(
            f"{stored.name} has the axes {', '.join(names)} beside those of a plane, and OME-Zarr "
            "has three at the most; choose a plane by --plane."
        )


def _kept(place: Path) -> SlidePrediction:
    """Return what was found on a finished plane."""
    said = saved_in(place) or {}
    of = said["summary"]
    pixels = {int(k): int(n) for k, n in of["pixels"].items()}
    notes = AnnotatedImage("", np.zeros((1, 1), int)).with_sidecar(said).annotations
    height, width = of["shape"]
    return SlidePrediction((height, width), of["uncertainty"], notes, pixels, of["objects"])


def _summed(predictions: Sequence[SlidePrediction]) -> SlidePrediction:
    """Return what all planes came to; ids go on from plane to plane."""
    pixels: dict[int, int] = {}
    start = 0
    classes: dict[int, int] = {}
    objects: dict[int, Any] = {}
    for one in predictions:
        for k, n in one.pixels.items():
            pixels[k] = pixels.get(k, 0) + n
        classes |= {start + i: k for i, k in one.notes.classes.items()}
        objects |= {start + i: note for i, note in one.notes.objects.items()}
        start += one.objects or 0
    notes = Annotations(classes=classes, objects=objects)
    doubt = float(np.mean([one.uncertainty for one in predictions]))
    return SlidePrediction(
        predictions[0].shape,
        doubt,
        notes,
        pixels,
        None if predictions[0].objects is None else start,
    )


def _put_together(
    group: Path, places: Sequence[Path], sizes: Sequence[int], starts: Any, axes: str
) -> Any:
    """Write all planes into one array, ids from `starts` on; return those there are, as a map."""
    levels = [open_image(place, ids=True).levels[0] for place in places]
    shape = levels[0].shape
    most = max(int(starts[-1]), *(int(np.iinfo(level.dtype).max) for level in levels))
    dtype = np.dtype(np.uint32) if starts[-1] else np.min_scalar_type(most)
    whole = begin_labels(group, (*sizes, *shape), dtype, axes)
    ids: Any = np.zeros(0, np.int64)
    for index, level, start in zip(np.ndindex(*sizes), levels, starts, strict=False):
        for part in blocks(shape, _SIDE, 0):
            labels = np.asarray(level[part.core.slices]).astype(np.int64)
            if labels.any():
                labels[labels > 0] += start
                ids = np.union1d(ids, np.unique(labels))
                whole[(*index, *part.core.slices)] = labels.astype(dtype)
    ids = ids[ids > 0]
    return ids.reshape((1,) * (len(sizes) + 1) + (len(ids),))
