"""Clicks of a table that are learned from: those that correct out-of-fold predictions.

They are drawn into a window after it was turned, stretched and shaded, so that they look as they
do at run time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.data.images import read_plane
from napari_clickseg.training.clicks.project import ProjectAnnotations
from napari_clickseg.training.clicks.record import TrainingImage
from napari_clickseg.training.loop.work import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from napari_clickseg.data.click_table import TableClick
    from napari_clickseg.training.clicks.live import Annotation
    from napari_clickseg.training.clicks.project import ProjectPool
    from napari_clickseg.training.clicks.samples import Subject, View

_ANYWHERE = 0.5  # share of the windows that lie anywhere; the others lie around an object
_WITH_PREVIOUS = 0.7  # share of the windows that are shown the prediction that the clicks correct


@dataclass(frozen=True, eq=False)
class CorrectedPrediction:
    """The clicks on an image, and the prediction that they correct.

    Parameters
    ----------
    prediction : TrainingImage or None
        Probabilities times 255 as its image, uint8 (1, Y, X).
    """

    clicks: tuple[TableClick, ...]
    prediction: TrainingImage | None


def corrections(table: str, images: Sequence[Path]) -> list[CorrectedPrediction | None]:
    """Find the clicks on images.

    Parameters
    ----------
    table : str
        Path of a table of clicks.
    images : sequence of Path
        Wherever they are.

    Returns
    -------
    list of CorrectedPrediction or None
        For each image; None where the table does not know it.

    Raises
    ------
    TrainingError
        If there is no table, or it knows none of the images.
    ProjectError, ImageError
        If the table or a prediction can't be read.
    """
    if not table:
        raise TrainingError("clicks: these are in a table; say which one with clicks_from.")
    path = Path(table)
    known = read_click_table(path)
    rows = {(path.parent / row.file).resolve(): row for row in known.images}
    corrected: list[CorrectedPrediction | None] = []
    for image in images:
        row = rows.get(image.resolve())
        if row is None:
            corrected.append(None)
            continue
        prediction = _probabilities(path.parent / row.prediction) if row.prediction else None
        corrected.append(CorrectedPrediction(known.by_image.get(row.image, ()), prediction))
    if not any(corrected):
        raise TrainingError(f"clicks_from: {path} knows none of the images that are trained on.")
    return corrected


def _probabilities(path: Path) -> TrainingImage:
    values = read_plane(path).read_all()
    if values.ndim != 2 or values.dtype != np.uint8:
        raise ImageError(f"{path} holds no probabilities; delete it, and make it again.")
    return TrainingImage(np.ascontiguousarray(values[None]), np.zeros(values.shape, np.int32), ())


class TableAnnotations(ProjectAnnotations):
    """Annotations of which a share gets the clicks of a table, all at once.

    Parameters
    ----------
    size : int
        The network's window in pixels.
    corrections : mapping
        From the name of a record of the pool.
    share : float
        Of the annotations that get clicks of the table.
    clicked : float
        Share of those that really get them; the others show what is there without a click.
    **options
        As in `ProjectAnnotations`.
    """

    def __init__(
        self,
        pool: ProjectPool,
        size: int,
        *,
        corrections: Mapping[str, CorrectedPrediction],
        share: float,
        clicked: float,
        **options: Any,
    ) -> None:
        super().__init__(pool, size, **options)
        self.corrections, self.share, self.clicked = corrections, share, clicked

    def _begin(self, n: int) -> list[Annotation]:
        fixed = sum(self.rng.random() < self.share for _ in range(n))
        return [self._corrected() for _ in range(fixed)] + super()._begin(n - fixed)

    def _corrected(self) -> Annotation:
        """Look anywhere, or at an object, with the clicks that the table has there."""
        annotation = None
        while annotation is None:
            anywhere = self.rng.random() < _ANYWHERE
            annotation = self._without_click() if anywhere else self._on_an_object()
        annotation.steps = 1
        correction = self.corrections.get(annotation.subject.record.name)
        if correction is None or self.rng.random() >= self.clicked:
            return annotation
        annotation.clicks = in_window(
            annotation.subject, annotation.view, self.size, correction.clicks
        )
        if correction.prediction is not None and self.rng.random() < _WITH_PREVIOUS:
            there = dataclasses.replace(annotation.subject, record=correction.prediction)
            previous, _ = there.cut(annotation.view, self.size)
            annotation.previous = previous[0].to(self.device)
        return annotation


def in_window(
    subject: Subject, view: View, size: int, clicks: Sequence[TableClick]
) -> list[tuple[float, float, bool]]:
    """Return where clicks lie in a window, those that lie in it.

    Parameters
    ----------
    subject : Subject
        Says how its windows are turned.
    view : View
        What the window shows.
    size : int
        The window's side in network pixels.
    clicks : sequence of TableClick
        On the whole image.

    Returns
    -------
    list of (float, float, bool)
        y, x in network pixels; True for positive ones.
    """
    inside = []
    for click in clicks:
        away = np.array([click.x + 0.5 - view.centre[1], click.y + 0.5 - view.centre[0]])
        x, y = (np.linalg.solve(subject.turn, away) / (view.span / 2) + 1) * size / 2 - 0.5
        if -0.5 <= min(x, y) and max(x, y) < size - 0.5:
            inside.append((float(y), float(x), click.positive))
    return inside
