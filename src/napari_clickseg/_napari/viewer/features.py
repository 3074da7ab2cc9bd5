"""What is known of each object, as napari shows it: `Labels.features`, a row an id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.data.annotations import ObjectNote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from napari.layers import Labels

    from napari_clickseg.data.classes import ProjectClasses

OWN = ("class", "score", "clicks", "model")  # the columns that are ours
_SOON = 500  # objects, beyond which a table is made elsewhere: it takes longer than a click may
_MOST = 30_000  # beyond which napari takes longer to show it
_NOTES_KEY = "napari-clickseg objects"  # in a labels layer's metadata


def saved_notes(metadata: Mapping[str, Any]) -> dict[int, ObjectNote]:
    """Return how the objects in a labels layer came about, as far as its metadata says it."""
    saved = metadata.get(_NOTES_KEY)
    try:
        every = saved.items() if isinstance(saved, dict) else ()
        return {int(one): ObjectNote.model_validate(note) for one, note in every}
    except (AttributeError, TypeError, ValueError):
        return {}


def with_notes(notes: Mapping[int, ObjectNote]) -> dict[str, Any]:
    """Return what goes into the metadata of a labels layer."""
    every = ((one, _fields(note)) for one, note in notes.items())
    return {_NOTES_KEY: {str(one): said for one, said in every if said}}


def _fields(note: ObjectNote) -> dict[str, Any]:
    """Return what a note says; as `model_dump` would, in a tenth of the time."""
    said: dict[str, Any] = {}
    if note.score is not None:
        said["score"] = note.score
    if note.clicks is not None:
        said["clicks"] = note.clicks
    if note.model:
        said["model"] = note.model
    return said


def features_of(
    classes: ProjectClasses | None,
    object_classes: Mapping[int, int],
    notes: Mapping[int, ObjectNote],
    before: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the table of a labels layer: what is known of each object, and the user's columns.

    Parameters
    ----------
    classes : ProjectClasses, optional
        Their names.
    object_classes : mapping of int to int
        The class of each object.
    before : DataFrame, optional
        The layer's table; columns that are not ours stay, and rows that have something in them.
    """
    import pandas as pd

    by_class = classes is not None and classes.scheme == "classes"
    names = {one.id: one.name for one in classes.classes} if classes is not None else {}
    of_each = {one: one for one in names} if by_class else object_classes
    ids = sorted({*of_each, *notes})
    every = [notes.get(one, ObjectNote()) for one in ids]
    known = pd.DataFrame(
        {
            "class": pd.Series([names.get(of_each.get(one, 0), "") for one in ids], dtype=object),
            "score": pd.array([note.score for note in every], dtype="Float64"),
            "clicks": pd.array([note.clicks for note in every], dtype="Int64"),
            "model": pd.Series([note.model for note in every], dtype=object),
        },
    )
    known.index = pd.Index(ids, dtype="int64", name="index")
    if before is not None and "index" in before.columns:
        theirs = before.set_index("index").drop(columns=list(OWN), errors="ignore")
        theirs = theirs.dropna(how="all") if len(theirs.columns) else theirs.iloc[:0]
        if len(theirs.columns):
            known = known.join(theirs, how="outer")
    return known.reset_index()


def noted_in(features: Any) -> dict[int, ObjectNote]:
    """Return how objects came about, as a layer's table says it; where it makes sense."""
    import pandas as pd

    if not isinstance(features, pd.DataFrame) or "index" not in features.columns:
        return {}
    notes = {}
    for row in features.to_dict("records"):
        said = {key: row[key] for key in OWN[1:] if key in row and not pd.isna(row[key])}
        try:
            note = ObjectNote.model_validate(said)
            if note and int(row["index"]) > 0:
                notes[int(row["index"])] = note
        except (TypeError, ValueError):
            continue
    return notes


def show_features(
    layer: Labels,
    classes: ProjectClasses | None,
    object_classes: Mapping[int, int],
    notes: Mapping[int, ObjectNote],
    later: Callable[[Callable[[], Any], Callable[[Any], None]], object] | None = None,
) -> None:
    """Show what is known of the objects in a labels layer in its table, if there is room.

    Parameters
    ----------
    classes, object_classes, notes
        As of `features_of`; not changed afterwards.
    later : callable, optional
        Has the table of many objects made: is given what makes it, which may run on any thread,
        and what takes it over, on the main thread. Without it they are shown at once.
    """
    before = layer.features
    if len(before) and "index" not in before.columns:
        return  # somebody's own table, whose rows are numbered
    if len({*object_classes, *notes}) > _MOST:
        return

    def make() -> Any:
        after = features_of(classes, object_classes, notes, before)
        return after if not after.equals(before) and (len(after) or len(before)) else None

    def show(after: Any) -> None:
        if after is not None and layer.features is before:  # else the user has changed it
            layer.features = after

    if later is None or len(object_classes) + len(notes) <= _SOON:
        show(make())
    else:
        later(make, show)
