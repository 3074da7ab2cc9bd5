"""The state of the Review widget: one evented model that the controller writes and views show.

A view may write the fields named under *choices of the user*; everything else is written by the
controller alone. Each field emits its own signal, ``state.events.<field>``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from psygnal import SignalGroupDescriptor

from napari_clickseg.core.cleanup import CleanUp
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW

if TYPE_CHECKING:
    from napari_clickseg.models.trained_models import ModelOffer

PredictingStatus = Literal[
    "none", "starting", "running", "stopping", "stopped", "finished", "failed"
]
Listed = Literal["to review", "reviewed"]
ANNOTATED = "annotated"  # state of a row whose image got a mask in another way
LISTED: dict[Listed, tuple[str, ...]] = {
    "to review": (TO_REVIEW,),
    "reviewed": (ACCEPTED, REJECTED, ANNOTATED),
}


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Images of a project; each counts once.

    Parameters
    ----------
    annotated : int
        With a mask that was not accepted in a review.
    accepted, waiting, rejected : int
        What became of predictions.
    left : int
        Neither annotated nor predicted.
    """

    annotated: int = 0
    accepted: int = 0
    waiting: int = 0
    rejected: int = 0
    left: int = 0

    @property
    def total(self) -> int:
        """All images."""
        return self.annotated + self.accepted + self.waiting + self.rejected + self.left


@dataclass(frozen=True, slots=True)
class QueueRow:
    """An image with a prediction, as the list shows it.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    uncertainty : float
        0 … 1.
    state : str
        `TO_REVIEW`, `ACCEPTED`, `REJECTED` or `ANNOTATED`.
    begun : bool
        There are corrections that are not accepted.
    """

    image: str
    uncertainty: float
    state: str = TO_REVIEW
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Predicting:
    """What is known of the process that predicts.

    Parameters
    ----------
    done, total : int
        Images.
    predicted : int
        Images that were predicted in the end.
    problems : tuple of str
        Why others were not.
    error : str
        Why it failed.
    """

    status: PredictingStatus = "none"
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    predicted: int = 0
    problems: tuple[str, ...] = ()
    error: str = ""

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self.status in ("starting", "running", "stopping")


@dataclass
class ReviewState:
    """What the Review widget shows.

    Parameters
    ----------
    project : str
        Choice of the user: the folder of a project; empty if none is chosen.
    model : str
        Choice of the user: path of the model that predicts; empty if none is chosen.
    again : bool
        Choice of the user: what waits with another model's prediction is predicted anew.
    listed : {"to review", "reviewed"}
        Choice of the user: which rows of the queue are shown.
    search : str
        Choice of the user: words in the names of the images that are listed.
    cleanup : CleanUp
        Choice of the user: how the prediction that is open is cleaned up.
    projects : tuple of str
        Projects that were used lately, are open, or were trained on.
    models : tuple of ModelOffer
        The last trained first.
    queue : tuple of QueueRow
        What waits, the most uncertain first; then what was reviewed, the last first.
    current : str
        The image that is open; empty if none is.
    can_clean_up : bool
        Whether a prediction is open.
    cleaned : str
        What cleaning it up came to, one line; empty if nothing is chosen.
    busy : str
        What is being done in the background, one line; empty if nothing is.
    message : str
        The last thing the user should know, one line; empty if none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    project: str = ""
    model: str = ""
    again: bool = False
    listed: Listed = "to review"
    search: str = ""
    cleanup: CleanUp = field(default_factory=CleanUp)
    projects: tuple[str, ...] = ()
    models: tuple[ModelOffer, ...] = ()
    counts: QueueCounts = field(default_factory=QueueCounts)
    queue: tuple[QueueRow, ...] = ()
    predicting: Predicting = field(default_factory=Predicting)
    current: str = ""
    can_clean_up: bool = False
    cleaned: str = ""
    busy: str = ""
    message: str = ""

    def row(self, image: str) -> QueueRow | None:
        """Return the row of an image, if it has one."""
        return next((row for row in self.queue if row.image == image), None)
