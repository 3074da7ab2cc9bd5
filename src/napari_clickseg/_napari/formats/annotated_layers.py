"""Labels layers as annotated images, with all that is known of their objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from napari_clickseg._napari.viewer.features import noted_in, saved_notes
from napari_clickseg._napari.viewer.metadata import CLASSES_KEY, ObjectClasses, saved_classes
from napari_clickseg._napari.viewer.pixels import stated_size
from napari_clickseg.data.annotations import Annotations
from napari_clickseg.data.names import safe_name
from napari_clickseg.formats.annotated import AnnotatedImage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Labels

_EVERYWHERE = "objects_everywhere"
_BY_PLANE = "objects_by_plane"  # in what a file of ours says: an id may be another one in each
_LETTER = re.compile(r"[a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Looks like a layer to whoever reads its metadata."""

    metadata: Mapping[str, Any]


def is_ours(meta: Mapping[str, Any]) -> bool:
    """Whether a labels layer says something of its objects that only this plugin knows."""
    return CLASSES_KEY in meta.get("metadata", {})


def levels_of(data: Any, meta: Mapping[str, Any]) -> list[Any]:
    """Return the levels of a layer's data, finest first; one where it is no pyramid."""
    return list(data) if meta.get("multiscale") or isinstance(data, list | tuple) else [data]


def described(data: Any, meta: Mapping[str, Any], name: str = "") -> AnnotatedImage:
    """Return a labels layer as an annotated image; its pixels are not read.

    Parameters
    ----------
    data, meta
        Of a layer, as napari gives them to writers.
    name : str
        By default the layer's.
    """
    finest = levels_of(data, meta)[0]
    ndim = len(finest.shape)
    classes, objects = _classes(meta)
    units = [str(unit) for unit in meta.get("units") or ["pixel"] * ndim]
    scale = [float(size) for size in meta.get("scale", [1.0] * ndim)]
    notes = saved_notes(meta.get("metadata", {})) or noted_in(meta.get("features"))
    return AnnotatedImage(
        safe_name(name or str(meta.get("name", "labels"))),
        finest,
        axes=_axes(meta, ndim),
        pixel_size=stated_size(scale, units, (ndim - 2, ndim - 1), ndim - 3 if ndim > 2 else None),
        classes=classes,
        annotations=Annotations(classes=objects.of_ids, objects=notes),
    )


def planes_said(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says of planes in which an id is another object than elsewhere."""
    objects = _classes(meta)[1]
    by_plane = objects.by_plane
    if not by_plane:
        return {}
    return {
        _EVERYWHERE: {str(one): number for one, number in objects.everywhere.items()},
        _BY_PLANE: [
            [list(index), {str(one): number for one, number in said.items()}]
            for index, said in by_plane.items()
        ],
    }


def object_classes(image: AnnotatedImage, saved: Mapping[str, Any]) -> ObjectClasses:
    """Return the classes of objects, as a file of ours says them."""
    try:
        by_plane = {
            tuple(int(at) for at in index): {int(one): int(n) for one, n in said.items()}
            for index, said in saved.get(_BY_PLANE, ())
        }
        everywhere = {int(one): int(n) for one, n in saved.get(_EVERYWHERE, {}).items()}
    except (TypeError, ValueError, AttributeError):
        by_plane = {}
    return ObjectClasses(everywhere if by_plane else image.annotations.classes, by_plane)


def _classes(meta: Mapping[str, Any]) -> tuple[Any, ObjectClasses]:
    return saved_classes(cast("Labels", _Kept(meta.get("metadata", {}))))


def _axes(meta: Mapping[str, Any], ndim: int) -> str:
    """Return a letter for each axis, after the layer's labels where they are told apart by it."""
    names = [str(name) for name in meta.get("axis_labels") or ()]
    letters = [name[:1].upper() for name in names if _LETTER.match(name)]
    named = "".join(letters[:-2]) if len(letters) == ndim else ""
    plain = len(set(named)) == len(named) and not set(named) & set("YX")
    lead = named if len(named) == ndim - 2 and plain else "QTCZ"[-(ndim - 2) :] if ndim > 2 else ""
    return f"{lead}YX"
