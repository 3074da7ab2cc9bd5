"""A journal's clicks on another model: how many of them it would have taken there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.window import Box
from napari_clickseg.evaluation.metrics import iou
from napari_clickseg.journal.scene import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.session import Session
    from napari_clickseg.journal.recording import Recording
    from napari_clickseg.journal.scene import Accepted

LEVELS = (0.80, 0.85, 0.90)


@dataclass(frozen=True, slots=True)
class ReplayedObject:
    """What a model makes of the gestures that somebody made on an object.

    Parameters
    ----------
    plane : tuple of int
        Its place in the stack; 0 along y and x.
    ious : tuple of float
        With the accepted mask, after each gesture.
    """

    value: int
    plane: tuple[int, ...]
    ious: tuple[float, ...]

    def clicks_to(self, level: float) -> int | None:
        """Return how many gestures it took to reach an IoU; None if all were not enough."""
        return next((n for n, one in enumerate(self.ious, 1) if one >= level), None)


def replay(
    recording: Recording,
    begin: Callable[[Plane], Session],
    progress: Callable[[], object] = lambda: None,
) -> tuple[ReplayedObject, ...]:
    """Make the gestures of all accepted objects again, one by one, on another model.

    An object that began with a mask from elsewhere begins with it again; one that was corrected
    later begins with nothing, and gets all of its gestures.

    Parameters
    ----------
    recording : Recording
        A journal, read.
    begin : callable
        Returns a session on a plane of the image.
    progress : callable
        Called after each object.

    Returns
    -------
    tuple of ReplayedObject
        Objects without a gesture, as those of the brush, are left out.
    """
    seen = recording.seen
    refinement = Refinement(seen.threshold, seen.smooth, seen.fill_holes, seen.keep_clicked)
    drafts = _drafts(recording)
    sessions: dict[Plane, Session] = {}
    out = []
    for one in recording.scene.objects:
        draft = drafts.get(id(one), Draft())
        gestures = tuple(g for mark in one.marks if (g := mark.gesture(one.plane)) is not None)
        if gestures and one.patch:
            if one.plane not in sessions:
                sessions = {one.plane: begin(one.plane)}  # one at a time: they hold the image
            truth = one.patch.cut(Box(0, 0, *one.plane.shape))
            start = draft.start if draft.editing is None else None
            prompt = Prompt(gestures, start, 0, draft.reading)
            ious = [
                iou(sessions[one.plane].evaluate(prompt.first(n), refinement).mask, truth)
                for n in range(1, len(gestures) + 1)
            ]
            out.append(ReplayedObject(one.value, one.plane.index, tuple(ious)))
        progress()
    return tuple(out)


def replay_report(objects: Sequence[ReplayedObject], **about: Any) -> dict[str, Any]:
    """Return all figures, for JSON.

    Parameters
    ----------
    objects : sequence of ReplayedObject
        At least one.
    **about
        What else is said, as the model.

    Returns
    -------
    dict
        NoC counts an object that does not reach the IoU with all of its gestures; `reached` says
        how many do.
    """
    noc, reached = {}, {}
    for level in LEVELS:
        clicks = [one.clicks_to(level) for one in objects]
        noc[f"{level:.2f}"] = float(
            np.mean([n or len(one.ious) for n, one in zip(clicks, objects, strict=True)])
        )
        reached[f"{level:.2f}"] = sum(n is not None for n in clicks)
    return {
        **about,
        "objects": len(objects),
        "gestures": sum(len(one.ious) for one in objects),
        "iou_first": float(np.mean([one.ious[0] for one in objects])),
        "iou_last": float(np.mean([one.ious[-1] for one in objects])),
        "noc": noc,
        "reached": reached,
        "each": [asdict(one) for one in objects],
    }


def _drafts(recording: Recording) -> dict[int, Draft]:
    """Return what each object began with, by its identity."""
    drafts: dict[int, Draft] = {}
    for step in recording.past:
        before = {id(one) for one in step.before.objects}
        new: list[Accepted] = [one for one in step.after.objects if id(one) not in before]
        drafts |= {id(one): step.before.draft(one.plane) for one in new}
    return drafts
