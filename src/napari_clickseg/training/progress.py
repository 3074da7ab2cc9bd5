"""What is known of a run: its events, folded into one frozen value that a widget can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.training.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

RunStatus = Literal[
    "none",
    "preparing",
    "starting",
    "running",
    "stopping",
    "stopped",
    "paused",
    "finished",
    "failed",
]
ALIVE: tuple[RunStatus, ...] = ("preparing", "starting", "running", "stopping")
RESUMABLE: tuple[RunStatus, ...] = ("stopped", "paused", "failed")

_MESSAGES = 50  # are kept
_BATCHES = 400  # losses of single batches that are kept at least: more than a curve can show

_CLICKS, _OVERLAP = 0.25, 0.01  # differences that say something
_FIRST = (
    *("NoC@85", "NoC@85, jittered clicks", "IoU after a click", "IoU", "Dice"),
    *("AP at IoU 0.5", "Panoptic quality", "F1 at IoU 0.5"),
)
_FEWER = ("NoC", "Splits", "Merges")  # of which fewer are better
_ROWS = 3  # that say most

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """Something that a run said."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class HelpRow:
    """A line of the table that says whether the training helped.

    Parameters
    ----------
    before, after : float or None
        On the validation images; None where it could not be measured.
    note : str
        Why it could not.
    """

    metric: str
    before: float | None
    after: float | None
    note: str = ""

    @property
    def text(self) -> str:
        """What the line is about."""
        return f"{self.metric}: {self.note}" if self.note else self.metric

    @property
    def better(self) -> bool | None:
        """Whether it became better, and not just by chance; of some figures less is better."""
        if self.before is None or self.after is None:
            return None
        clicks = self.metric.startswith("NoC")
        if abs(self.after - self.before) < (_CLICKS if clicks else _OVERLAP):
            return None
        return (self.after < self.before) is self.metric.startswith(_FEWER)


def parted(table: Sequence[HelpRow]) -> tuple[list[HelpRow], list[HelpRow]]:
    """Return the rows that say most, and all others."""
    first = [row for name in _FIRST for row in table if row.metric == name]
    first = (first or list(table))[:_ROWS]
    return first, [row for row in table if row not in first]


@dataclass(frozen=True, slots=True)
class Preview:
    """Files of one validation image: relative to the project and to the run."""

    image: str
    prediction: str
    truth: str = ""


@dataclass(frozen=True, slots=True)
class Curves:
    """Figures by epoch.

    Parameters
    ----------
    loss, validation_loss : mapping of int to float
        By epoch.
    metrics : mapping of str to mapping of int to float
        By name and epoch.
    batches : tuple of (float, float)
        Epochs begun (with a fraction) and the loss of single batches.
    best : int, optional
        The epoch that is kept.
    """

    loss: Mapping[int, float] = field(default_factory=dict)
    validation_loss: Mapping[int, float] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    batches: tuple[tuple[float, float], ...] = ()
    best: int | None = None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What is known of a run.

    Parameters
    ----------
    path : Path, optional
        Its folder; None if there is none.
    name : str
        As the user sees it.
    epoch, epochs : int
        The epoch that goes on, from 1, and how many there are at most; 0 if not known.
    batch, batches : int
        Within the epoch.
    training, validation : int
        Images of the two sets.
    waiting : float, optional
        Share of the time that the network waited for images.
    measuring : bool
        Whether all epochs are done, and it is measured whether that helped.
    table : tuple of HelpRow
        Whether it helped, in figures.
    verdict : Verdict, optional
        The same in words; runs of earlier versions have none.
    messages : tuple of Message
        The last ones.
    reason : str
        Why it ended: done, early, stopped; empty if it did not.
    model : Path, optional
        Of the model it made.
    error : str
        Why it failed, one line.
    pid : int
        Of its process; 0 if not known.
    since : float
        When it was last begun, resumed, finished or failed: seconds of the epoch.
    """

    path: Path | None = None
    name: str = ""
    status: RunStatus = "none"
    epoch: int = 0
    epochs: int = 0
    batch: int = 0
    batches: int = 0
    seconds_left: float | None = None
    device: str = ""
    training: int = 0
    validation: int = 0
    waiting: float | None = None
    measuring: bool = False
    curves: Curves = Curves()
    table: tuple[HelpRow, ...] = ()
    verdict: Verdict | None = None
    messages: tuple[Message, ...] = ()
    previews: tuple[Preview, ...] = ()
    preview_epoch: int = 0
    reason: str = ""
    model: Path | None = None
    error: str = ""
    pid: int = 0
    since: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether something goes on."""
        return self.status in ALIVE

    @property
    def done(self) -> float:
        """The share of the epochs that is done, 0 … 1."""
        if self.status == "finished":
            return 1.0
        if not self.epochs:
            return 0.0
        within = self.batch / self.batches if self.batches else 0.0
        return min(1.0, max(0.0, (self.epoch - 1 + within) / self.epochs))


def follow(progress: RunProgress, events: Iterable[Event]) -> RunProgress:
    """Return what is known after more events.

    Parameters
    ----------
    progress : RunProgress
        What was known before.
    events : iterable of mappings
        Lines of events.jsonl in their order; those of a kind that is not known are skipped.
    """
    for event in events:
        taken = _TAKEN.get(str(event.get("event")))
        if taken is not None:
            progress = taken(progress, event)
    return progress


def _started(progress: RunProgress, event: Event) -> RunProgress:
    first = max(progress.curves.loss, default=0) + 1 if event.get("resumed") else 1
    return replace(
        progress,
        status="running",
        pid=int(event.get("pid", 0)),
        since=_number(event.get("time")) or 0.0,
        epoch=first,
        epochs=int(event.get("epochs", 0)),
        batch=0,
        training=int(event.get("training", 0)),
        validation=int(event.get("validation", 0)),
        measuring=False,
        device=str(event.get("device", "")),
        seconds_left=None,
        reason="",
        error="",
        curves=progress.curves if event.get("resumed") else Curves(),
    )


def _message(progress: RunProgress, event: Event) -> RunProgress:
    message = Message(str(event.get("text", "")), event.get("level") == "warning")
    return replace(progress, messages=(*progress.messages, message)[-_MESSAGES:])


def _batch(progress: RunProgress, event: Event) -> RunProgress:
    epoch, batch = int(event.get("epoch", 1)), int(event.get("batch", 0))
    batches = max(1, int(event.get("batches", 1)))
    curves, loss = progress.curves, _number(event.get("loss"))
    if loss is not None:
        point = (epoch - 1 + batch / batches, loss)
        kept = [one for one in curves.batches if one[0] < point[0]]
        thinned = kept[::2] if len(kept) >= 2 * _BATCHES else kept
        curves = replace(curves, batches=(*thinned, point))
    return replace(
        progress,
        epoch=epoch,
        batch=batch,
        batches=batches,
        seconds_left=_number(event.get("seconds_left")),
        curves=curves,
    )


def _epoch(progress: RunProgress, event: Event) -> RunProgress:
    epoch, old = int(event.get("epoch", 1)), progress.curves
    named = event.get("metrics") or {}
    metrics = {
        name: _with(_until(old.metrics.get(name, {}), epoch), epoch, named.get(name))
        for name in dict.fromkeys([*old.metrics, *named])
    }
    curves = replace(
        old,
        loss=_with(_until(old.loss, epoch), epoch, event.get("loss")),
        validation_loss=_with(
            _until(old.validation_loss, epoch), epoch, event.get("validation_loss")
        ),
        metrics=metrics,
        best=epoch if event.get("best") else old.best,
    )
    return replace(
        progress,
        epoch=epoch,
        batch=progress.batches or 1,
        batches=progress.batches or 1,
        waiting=_number(event.get("waiting_share")),
        curves=curves,
    )


def _previews(progress: RunProgress, event: Event) -> RunProgress:
    files = tuple(
        Preview(str(one["image"]), str(one["prediction"]), str(one.get("truth") or ""))
        for one in event.get("files", ())
    )
    return replace(progress, previews=files, preview_epoch=int(event.get("epoch", 0)))


def _measuring(progress: RunProgress, _event: Event) -> RunProgress:
    return replace(progress, measuring=True, seconds_left=None)


def _help(progress: RunProgress, event: Event) -> RunProgress:
    table = tuple(
        HelpRow(
            str(row["metric"]),
            _number(row.get("before")),
            _number(row.get("after")),
            str(row.get("note") or ""),
        )
        for row in event.get("table", ())
    )
    advice = tuple(str(line) for line in event.get("advice", ()))
    verdict = Verdict(event.get("kind") or "unmeasured", str(event.get("text") or ""), advice)
    return replace(progress, table=table, verdict=verdict if verdict.text else None)


def _finished(progress: RunProgress, event: Event) -> RunProgress:
    reason, name = str(event.get("reason", "done")), event.get("model")
    best = event.get("best_epoch")
    return replace(
        progress,
        status="stopped" if reason == "stopped" else "finished",
        reason=reason,
        since=_number(event.get("time")) or 0.0,
        seconds_left=None,
        model=progress.path / str(name) if progress.path is not None and name else None,
        curves=replace(progress.curves, best=int(best)) if best else progress.curves,
    )


def _failed(progress: RunProgress, event: Event) -> RunProgress:
    text = " ".join(str(event.get("message", "")).split()) or "The training failed."
    when = _number(event.get("time")) or 0.0
    return replace(progress, status="failed", error=text, seconds_left=None, since=when)


_TAKEN: dict[str, Callable[[RunProgress, Event], RunProgress]] = {
    "started": _started,
    "message": _message,
    "batch": _batch,
    "epoch": _epoch,
    "previews": _previews,
    "measuring": _measuring,
    "help": _help,
    "finished": _finished,
    "failed": _failed,
}


def _number(value: object) -> float | None:
    """Return a finite number, or None: a diverged run writes NaN or null."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if value - value == 0 else None


def _until(values: Mapping[int, float], epoch: int) -> dict[int, float]:
    """Drop what a resumed run does again."""
    return {at: value for at, value in values.items() if at < epoch}


def _with(values: dict[int, float], epoch: int, value: object) -> dict[int, float]:
    number = _number(value)
    return values if number is None else {**values, epoch: number}
