"""What is kept with layers, in their metadata: classes, and which records of a project they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_clickseg.data.classes import ProjectClass, ProjectClasses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari.layers import Labels
    from napari.layers.base import Layer

__all__ = [
    "CLASSES_KEY",
    "Origin",
    "empty_planes",
    "is_under_review",
    "mark_empty",
    "origin_of",
    "saved_classes",
    "under_review",
    "with_classes",
    "with_empty",
]

CLASSES_KEY = "napari-clickseg"  # in the annotation layer's metadata
_EMPTY_KEY = "napari-clickseg empty"
_ORIGIN_KEY = "napari-clickseg project"
_REVIEW_KEY = "napari-clickseg review"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which records of a project an image layer was opened from.

    Parameters
    ----------
    folder : str
        Of the project.
    names, groups, splits : sequence of str
        Of each plane along the first axis, or of the one plane there is; names without suffix.
    stacked : bool
        Whether the first axis counts records.
    channel_axis : int, optional
        The data axis that holds channels.
    """

    folder: str
    names: Sequence[str]
    groups: Sequence[str]
    splits: Sequence[str]
    stacked: bool
    channel_axis: int | None = None

    def as_metadata(self) -> dict[str, Any]:
        """Return what goes into the image layer's metadata."""
        return {_ORIGIN_KEY: asdict(self)}


def origin_of(layer: Layer) -> Origin | None:
    """Return which records an image layer was opened from, if it was."""
    saved = layer.metadata.get(_ORIGIN_KEY)
    try:
        return Origin(**saved) if isinstance(saved, dict) else None
    except TypeError:
        return None


def saved_classes(layer: Labels) -> tuple[ProjectClasses | None, dict[int, int]]:
    """Return what the ids of a labels layer mean, and the classes of its objects, as far as said.

    What is saved can't be trusted: other programs write metadata, too.
    """
    saved = layer.metadata.get(CLASSES_KEY)
    if not isinstance(saved, dict):
        return None, {}
    try:
        classes = ProjectClasses(
            scheme=saved["scheme"],
            classes=tuple(
                ProjectClass(id=c["id"], name=c["name"] or str(c["id"]), colour=c["colour"])
                for c in saved["classes"]
            ),
        )
        objects = {int(value): int(c) for value, c in saved.get("objects", {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError):
        return None, {}
    return classes, objects


def with_classes(classes: ProjectClasses | None, objects: Mapping[int, int]) -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer."""
    if classes is None or not classes.classes:
        return {}
    return {
        CLASSES_KEY: {
            "scheme": classes.scheme,
            "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in classes.classes],
            "objects": {str(value): c for value, c in objects.items()},
        }
    }


def empty_planes(layer: Labels) -> frozenset[tuple[int, ...]]:
    """Return the planes in which there is really nothing; positions along all data axes."""
    saved = layer.metadata.get(_EMPTY_KEY, ())
    try:
        return frozenset(tuple(int(i) for i in index) for index in saved)
    except (TypeError, ValueError):
        return frozenset()


def mark_empty(layer: Labels, index: Sequence[int], empty: bool = True) -> None:
    """Say that there is really nothing in a plane, or take that back.

    Parameters
    ----------
    layer : Labels
        The annotation.
    index : sequence of int
        The plane's position along every data axis, 0 along y and x: `planes.Plane.index`.
    empty : bool
        Whether there is nothing.
    """
    marked = set(empty_planes(layer)) - {tuple(index)}
    if empty:
        marked.add(tuple(index))
    layer.metadata.update(with_empty(marked))


def with_empty(indices: Iterable[tuple[int, ...]]) -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer to mark planes as really empty."""
    return {_EMPTY_KEY: sorted(list(index) for index in indices)}


def under_review() -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer that holds a prediction to review."""
    return {_REVIEW_KEY: True}


def is_under_review(layer: Layer) -> bool:
    """Whether a labels layer holds a prediction to review: it is no annotation yet."""
    return bool(layer.metadata.get(_REVIEW_KEY))
