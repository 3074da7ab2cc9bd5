"""A review in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg._napari.review.state import ANNOTATED
from napari_clickseg._napari.train.text import time_text
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW
from napari_clickseg.models.trained_models import learned_from
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg._napari.project.gather import Proposed
    from napari_clickseg._napari.review.state import Predicting, QueueCounts, QueueRow
    from napari_clickseg.core.cleanup import CleanUp
    from napari_clickseg.engine.slides.cleaning import Cleaned
    from napari_clickseg.models.trained_models import ModelOffer

_SAID = {
    TO_REVIEW: "",
    REJECTED: "This image was rejected. Annotate it by hand, then accept it.",
    ACCEPTED: "This image was accepted. Accept it again to replace its mask by what you correct.",
    ANNOTATED: "This image is annotated. Accept it to replace its mask by what you correct.",
}


def counts_text(counts: QueueCounts) -> str:
    """Return how many images there are of each kind."""
    if not counts.total:
        return ""
    parts = [
        f"{counts.annotated} annotated",
        f"{counts.accepted} accepted",
        f"{counts.waiting} to review",
    ]
    if counts.rejected:
        parts.append(f"{counts.rejected} rejected")
    parts.append(f"{counts.left} not predicted yet")
    return f"{counted(counts.total, 'image')}: {', '.join(parts)}"


def proposed_text(made: Proposed) -> str:
    """Say what was put into the review from a labels layer."""
    n = len(made.images)
    said = [f"{counted(n, 'image')} can be reviewed in {made.folder}."]
    if made.annotated:
        verb = "has" if made.annotated == 1 else "have"
        said.append(f"{counted(made.annotated, 'image')} {verb} a mask already, which stays.")
    if made.empty:
        said.append(f"{counted(made.empty, 'plane')} without labels left out.")
    return " ".join(said)


def predicting_text(now: Predicting) -> str:
    """Return what the process that predicts is at; empty if there is none."""
    done = f"{now.done} of {now.total}"
    match now.status:
        case "none":
            return ""
        case "starting":
            return "Starting; the first seconds go into loading the network …"
        case "running":
            if not now.total:
                return "Loading the model …"
            left = f" · about {time_text(now.seconds_left)} left" if now.seconds_left else ""
            return f"{done} predicted{left}"
        case "stopping":
            return f"{done} predicted · stopping after this image" if now.total else "Stopping …"
        case "stopped":
            return f"Stopped after {done}. Press “Predict the rest” to go on."
        case "failed":
            return f"Ended after {done}." if now.total else "Nothing was predicted."
        case "finished":
            if not now.total:
                return (
                    "Nothing was left to be predicted. What has no labels comes into a project of "
                    "layers if Train is told to keep it."
                )
            skipped = f", {len(now.problems)} could not be" if now.problems else ""
            return f"Done: {now.predicted} predicted{skipped}."


def model_text(offer: ModelOffer | None, project: str) -> str:
    """Return what is to be known of a model before it predicts a project; empty if nothing is."""
    if offer is None or offer.refusal:
        return ""
    said = []
    if not learned_from(offer, project):
        said.append("was not trained on this project")
    if offer.worse:
        said.append("did worse than the model that its training began with")
    return f"“{offer.name}” {', and '.join(said)}." if said else ""


def without_model_text(offers: Sequence[ModelOffer]) -> str:
    """Return what to do where no model is chosen; what comes along is for the user to choose."""
    where = "under “Train”, with a task that needs no clicks."
    ready = next((offer.name for offer in offers if not offer.refusal), "")
    if ready:
        return (
            f"No model was trained yet. Choose “{ready}”, which comes along, or train one: {where}"
        )
    return f"No model finds things by itself yet. Train one: {where}"


def opened_text(state: str, other: bool) -> str:
    """Return what is to be known of an image when it is opened.

    Parameters
    ----------
    state : str
        As in `QueueRow`.
    other : bool
        There are corrections of its prediction, and a mask that was made elsewhere.
    """
    if other:
        return (
            "This image was annotated while you corrected its prediction. What you made is in a "
            "layer of its own, which is hidden."
        )
    return _SAID[state]


def cleaned_text(rules: CleanUp, cleaned: Cleaned) -> str:
    """Say what cleaning a prediction up came to."""
    if not rules:
        return "As the model found it."
    pixels = counted(cleaned.changed, "pixel")
    return f"Kept: {pixels} changed, {counted(cleaned.ids, 'id')} left."


def drafted_text(is_second: bool, broken: Path | None) -> str:
    """Return what is to be known of the corrections that were kept of an image.

    Parameters
    ----------
    is_second : bool
        Somebody else works on the image.
    broken : Path, optional
        Where corrections are that could not be read.
    """
    if is_second:
        return (
            "This image is being worked on in another window. What you correct here is kept "
            "beside that, and shown when it is opened next."
        )
    if broken is not None:
        return f"The corrections that were kept of this image can't be read; see {broken}."
    return ""


def slide_text(image: str, prediction: Path) -> str:
    """Say what can't be done with an image that is too large to be read whole, and what can."""
    return (
        f"{image} is too large to be corrected or accepted here. Its prediction lies in "
        f"{prediction}; drop that folder on napari's window to look at it."
    )


def row_text(row: QueueRow) -> str:
    """Return the state of an image, as the list shows it."""
    if row.state == TO_REVIEW:
        return "begun" if row.begun else row.state
    return f"{row.state}, begun" if row.begun else row.state


def project_names(projects: Sequence[str]) -> list[str]:
    """Return what projects are called in a list: their folder, as exactly as is needed."""
    names = [Path(project).name for project in projects]
    return [
        name if names.count(name) == 1 else f"{name} ({Path(project).parent.name})"
        for name, project in zip(names, projects, strict=True)
    ]
