"""What is kept with layers, in their metadata: classes, and which records of a project they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_clickseg._napari.viewer.colours import colour_of
from napari_clickseg.data.classes import ProjectClass, ProjectClasses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari.layers import Labels
    from napari.layers.base import Layer

CLASSES_KEY = "napari-clickseg"  # in the annotation layer's metadata
_EMPTY_KEY = "napari-clickseg empty"
_COMPLETE_KEY = "napari-clickseg complete"
_COMPLETE_SAVED_KEY = "napari-clickseg complete saved"
_ORIGIN_KEY = "napari-clickseg project"
_REVIEW_KEY = "napari-clickseg review"
_FOLDER_KEY = "napari-clickseg folder"
_EXPLAINS_KEY = "napari-clickseg explains"  # the name of the image that is explained


@dataclass(frozen=True, slots=True)
class Origin:
    """Which records of a project an image layer was opened from.

    Parameters
    ----------
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


@dataclass(frozen=True)
class ObjectClasses:
    """The classes of the objects in a labels layer.

    An id may be one object in one image of a stack, and another one in the next.

    Parameters
    ----------
    everywhere : mapping of int to int
        The class of each id on the planes that say nothing else of it.
    by_plane : mapping of tuple of int to mapping of int to int
        What is said of a plane alone; its key is its position along every data axis, as in
        `planes.Plane.index`.
    """

    everywhere: Mapping[int, int] = field(default_factory=dict)
    by_plane: Mapping[tuple[int, ...], Mapping[int, int]] = field(default_factory=dict)

    def on(self, index: tuple[int, ...]) -> dict[int, int]:
        """Return the class of each id on a plane."""
        return {**self.everywhere, **self.by_plane.get(index, {})}

    @cached_property
    def of_ids(self) -> dict[int, int]:
        """The class of each id that has the same one on all planes."""
        classes: dict[int, set[int]] = {value: {one} for value, one in self.everywhere.items()}
        for said in self.by_plane.values():
            for value, one in said.items():
                classes.setdefault(value, set()).add(one)
        return {value: next(iter(ones)) for value, ones in classes.items() if len(ones) == 1}

    def with_objects(self, made: Iterable[tuple[tuple[int, ...], int, int]]) -> ObjectClasses:
        """Return what is known when more objects are: plane, id and class of each."""
        everywhere, by_plane = dict(self.everywhere), dict(self.by_plane)
        for index, value, one in made:
            new = value not in everywhere and value not in self._said_of_planes
            if new or len(index) == 2:  # there is no other plane
                everywhere[value] = one
            elif by_plane.get(index, {}).get(value, everywhere.get(value)) != one:
                by_plane[index] = {**by_plane.get(index, {}), value: one}
        return ObjectClasses(everywhere, by_plane)

    @cached_property
    def _said_of_planes(self) -> frozenset[int]:
        return frozenset(value for said in self.by_plane.values() for value in said)

    def as_metadata(self) -> dict[str, Any]:
        """Return what goes beside the classes in the metadata of a labels layer."""
        saved: dict[str, Any] = {"objects": {str(v): one for v, one in self.everywhere.items()}}
        return saved | ({"objects by plane": self.by_plane} if self.by_plane else {})


def saved_classes(layer: Labels) -> tuple[ProjectClasses | None, ObjectClasses]:
    """Return what the ids of a labels layer mean, and the classes of its objects, as far as said.

    What is saved can't be trusted: other programs write metadata, too.
    """
    classes = listed_classes(layer)
    return classes, ObjectClasses() if classes is None else saved_object_classes(layer)


def listed_classes(layer: Labels) -> ProjectClasses | None:
    """Return what the ids of a labels layer mean; None where it is not said, or makes no sense."""
    saved = layer.metadata.get(CLASSES_KEY)
    if not isinstance(saved, dict):
        return None
    try:
        return ProjectClasses(
            scheme=saved["scheme"],
            classes=tuple(
                ProjectClass(
                    id=c["id"],
                    name=c.get("name") or str(c["id"]),
                    colour=c.get("colour") or colour_of(int(c["id"])),
                )
                for c in saved["classes"]
            ),
        )
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError):
        return None


def saved_object_classes(layer: Labels) -> ObjectClasses:
    """Return the classes of the objects in a labels layer, as far as they are said."""
    saved = layer.metadata.get(CLASSES_KEY)
    try:
        return ObjectClasses(
            _numbers(saved.get("objects", {})),
            {
                tuple(int(at) for at in index): _numbers(said)
                for index, said in saved.get("objects by plane", {}).items()
            },
        )
    except (AttributeError, TypeError, ValueError):
        return ObjectClasses()


def _numbers(saved: Mapping[Any, Any]) -> dict[int, int]:
    return {int(value): int(one) for value, one in saved.items()}


def with_classes(classes: ProjectClasses | None, objects: ObjectClasses) -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer."""
    if classes is None or not classes.classes:
        return {}
    listed = [{"id": c.id, "name": c.name, "colour": c.colour} for c in classes.classes]
    return {
        CLASSES_KEY: {"scheme": classes.scheme, "classes": listed} | objects.as_metadata(),
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


def complete_planes(layer: Labels) -> dict[tuple[int, ...], bool]:
    """Return of which planes it is said whether all objects are labelled; by position."""
    return _completeness(layer, _COMPLETE_KEY)


def mark_complete(layer: Labels, indices: Iterable[tuple[int, ...]], complete: bool) -> None:
    """Say whether all objects in some planes are labelled.

    Parameters
    ----------
    layer : Labels
        The annotation.
    indices : iterable of tuple of int
        The planes; each as `index` of `mark_empty`.
    complete : bool
        Whether what is not labelled is background, and not merely not done yet.
    """
    said = complete_planes(layer) | dict.fromkeys(indices, complete)
    layer.metadata[_COMPLETE_KEY] = _listed(said)


def with_complete(said: Mapping[tuple[int, ...], bool]) -> dict[str, Any]:
    """Return what goes into a labels layer's metadata: what a project says of completeness."""
    return {_COMPLETE_KEY: _listed(said), _COMPLETE_SAVED_KEY: _listed(said)}


def note_complete_saved(layer: Labels) -> None:
    """Note that what is said of completeness is in a project."""
    layer.metadata.update(with_complete(complete_planes(layer)))


def unsaved_complete(layer: Labels) -> int:
    """Count the planes of which something is said that no project holds."""
    saved = _completeness(layer, _COMPLETE_SAVED_KEY)
    return sum(saved.get(index) is not on for index, on in complete_planes(layer).items())


def _completeness(layer: Labels, key: str) -> dict[tuple[int, ...], bool]:
    try:
        return {tuple(int(i) for i in index): bool(on) for index, on in layer.metadata.get(key, ())}
    except (TypeError, ValueError):
        return {}


def _listed(said: Mapping[tuple[int, ...], bool]) -> list[list[Any]]:
    return [[list(index), on] for index, on in sorted(said.items())]


def under_review() -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer that holds a prediction to review."""
    return {_REVIEW_KEY: True}


def is_under_review(layer: Layer) -> bool:
    """Whether a labels layer holds a prediction to review: it is not an annotation yet."""
    return bool(layer.metadata.get(_REVIEW_KEY))


def in_folder(begun: bool) -> dict[str, Any]:
    """Return what goes into the metadata of labels that are saved as a folder is gone through.

    Parameters
    ----------
    begun : bool
        Whether something was made of the image before, which comes back unasked.
    """
    return {_FOLDER_KEY: "begun" if begun else "untouched"}


def is_in_folder(layer: Layer, *, begun: bool = False) -> bool:
    """Whether labels are saved as a folder is gone through; or also were begun before."""
    said = layer.metadata.get(_FOLDER_KEY)
    return said == "begun" if begun else said is not None


def explaining(image: str) -> dict[str, Any]:
    """Return what goes into the metadata of a layer that explains a mask on an image."""
    return {_EXPLAINS_KEY: image}


def is_explaining(layer: Layer) -> bool:
    """Whether a layer explains a mask: nobody annotates it, or learns from it."""
    return _EXPLAINS_KEY in layer.metadata
