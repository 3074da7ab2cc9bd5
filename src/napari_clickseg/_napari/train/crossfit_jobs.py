"""What the Train widget has done in the background for cross-fittings; runs on worker threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.crossfit.begin import begin as begin_crossfit
from napari_clickseg.crossfit.begin import plan
from napari_clickseg.crossfit.editing import begin_copy, look, replace_clicks
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.reader import resume_arguments
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.models.trained_models import note_origins, origins_of
from napari_clickseg.runs.home import new_run
from napari_clickseg.training.defaults import completed
from napari_clickseg.util.text import counted, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg._napari.train.state import Check
    from napari_clickseg.crossfit.begin import Plan
    from napari_clickseg.crossfit.editing import ImageRegions
    from napari_clickseg.crossfit.spec import CrossfitSpec
    from napari_clickseg.data.click_table import TableClick
    from napari_clickseg.data.inspection.facts import Findings
    from napari_clickseg.data.project import Project

_USUAL = 5  # folds, which may be fewer


def planned(check: Check, spec: CrossfitSpec, project: Project, findings: Findings) -> Check:
    """Say what a cross-fitting would do, or why it can't.

    Parameters
    ----------
    check : Check
        What else there is to say.
    spec : CrossfitSpec
        As the user left it.
    project : Project
        Its images are cut into folds.
    findings : Findings
        What was found in it.
    """
    training = completed(spec.training, findings)
    if len(check.classes) > 1 and not training.whole and len(training.classes) > 1:
        names = ", ".join(f"{name} ({number})" for number, name in check.classes[:8])
        text = (
            f"There are several classes, {names}, and one thing is found by cross-fitting; choose "
            "one under Find, or all of them together."
        )
        return replace(check, errors=(text,))
    try:
        made = plan(spec, project, findings)
    except ValueError as error:
        return replace(check, errors=(one_line(error),))
    folds, least = len({row.fold for row in made.rows}), spec.folds
    if folds < least != _USUAL:
        unit = "images" if spec.training.split_by == "image" else "groups"
        text = (
            f"{least} folds need {least} {unit} or more, and there are {folds}; choose {folds} "
            "folds or fewer, or annotate more."
        )
        return replace(check, errors=(text,))
    warnings = dict.fromkeys([*check.warnings, *made.said])
    return replace(check, warnings=tuple(warnings), plan=_plan_text(made, folds))


def _plan_text(made: Plan, folds: int) -> str:
    training = made.spec.training
    last = ", and a final model" if made.spec.final else ""
    count = 2 * folds + made.spec.final
    return (
        f"Will cut {len(made.rows)} images into {folds} folds; train a baseline and a click model "
        f"for each{last}. These are {count} trainings of at most "
        f"{counted(training.epochs, 'epoch')} of {training.windows} windows of "
        f"{training.size} × {training.size} pixels."
    )


def begin(spec: CrossfitSpec, path: Path, findings: Findings, *, pause: bool) -> list[str]:
    """Make the folder of a cross-fitting, and return the command's arguments that carry it out.

    Parameters
    ----------
    spec : CrossfitSpec
        What is left open is chosen from the data.
    path : Path
        Not there yet.
    findings : Findings
        What was found in the project.
    pause : bool
        It ends when the clicks are placed, and can be gone on with.

    Raises
    ------
    CrossfitError, TrainingError, SplitError, OSError
    """
    folder = CrossfitFolder(path)
    for text in begin_crossfit(spec, folder, findings):
        folder.log.add("message", level="warning", text=text)
    return resume_arguments(folder, pause=pause)


def copy(path: Path, home: Path) -> Path:
    """Make another cross-fitting with the baselines and clicks of one, and return its folder.

    Raises
    ------
    CrossfitError, ProjectError, OSError
    """
    other = CrossfitFolder(path)
    folder = CrossfitFolder(new_run(home, other.spec.training.name))
    begin_copy(other, folder)
    note_origins(folder.path, origins_of(other.path))
    return folder.path


class ClickSaver:
    """Writes edited clicks; what can't be written is kept, and tried again the next time."""

    def __init__(self) -> None:
        self._pending: dict[tuple[Path, str], tuple[TableClick, ...]] = {}
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def keep(self, path: Path, image: str, clicks: tuple[TableClick, ...]) -> None:
        """Note what the clicks on an image of a cross-fitting are now; any thread."""
        with self._lock:
            self._pending[path, image] = clicks

    def pending(self, path: Path, image: str) -> tuple[TableClick, ...] | None:
        """Return clicks that are not written yet; None where all are."""
        with self._lock:
            return self._pending.get((path, image))

    def write(self) -> None:
        """Write all that was noted; any thread.

        Raises
        ------
        ProjectError, OSError
            If that fails; nothing is lost.
        """
        with self._writing:
            with self._lock:
                waiting = dict(self._pending)
            for (path, image), clicks in waiting.items():
                replace_clicks(CrossfitFolder(path), image, clicks)
                with self._lock:
                    if self._pending.get((path, image)) is clicks:
                        del self._pending[path, image]


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """An image of a cross-fitting that was read.

    Parameters
    ----------
    path : Path
        The cross-fitting's folder.
    images : tuple of str
        Names of all images.
    placed : tuple of TableClick
        Its clicks before they were edited.
    shares : tuple of float
        Of the image that are true positives, false positives, false negatives.
    """

    path: Path
    images: tuple[str, ...]
    index: int
    fold: int
    sight: ImageRegions
    placed: tuple[TableClick, ...]
    shares: tuple[float, float, float]


def see(path: Path, index: int) -> Seen:
    """Read an image of a cross-fitting with its regions and clicks.

    Parameters
    ----------
    path : Path
        The cross-fitting's folder.
    index : int
        Of the image; the nearest one there is.

    Raises
    ------
    CrossfitError, ProjectError, ImageError
        If something is not there, or can't be read.
    """
    folder = CrossfitFolder(path)
    rows = read_click_table(folder.clicks).images
    index = min(max(0, index), len(rows) - 1)
    row = rows[index]
    sight = look(folder, row.image)
    placed = sight.clicks
    if folder.placed.exists():
        placed = read_click_table(folder.placed).by_image.get(row.image, ())
    counts = np.bincount(sight.kinds.ravel(), minlength=4)[1:] / sight.kinds.size
    tp, fp, fn = (float(share) for share in counts)
    names = tuple(one.image for one in rows)
    return Seen(path, names, index, row.fold, sight, placed, (tp, fp, fn))
