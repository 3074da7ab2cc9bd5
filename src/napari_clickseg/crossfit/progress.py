"""What is known of a cross-fitting: its events, folded into one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.training.progress import RunProgress
from napari_clickseg.training.progress import follow as follow_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_clickseg.crossfit.folder import Stage

PartState = Literal["waiting", "running", "done", "failed", "skipped"]
Step = tuple["Stage", "int | None"]  # a stage, and the fold it is about
Event = Mapping[str, Any]

_TRAININGS = ("baseline", "clicked", "final")
_LEAST = 0.02  # share of a part from which on its speed is believed


@dataclass(frozen=True, slots=True)
class Part:
    """How far a stage of a fold is.

    Parameters
    ----------
    done, total : int
        Epochs or images; 0 where that is not known.
    share : float
        Of it that is done, 0 … 1.
    message : str
        Why it failed, or was skipped.
    seconds : float, optional
        What it took, or all of it seems to take.
    first : (float, float), optional
        When it was first heard of, in seconds of the epoch, and its share then.
    """

    state: PartState = "waiting"
    done: int = 0
    total: int = 0
    share: float = 0.0
    message: str = ""
    seconds: float | None = None
    first: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class MainFigures:
    """The report's main figures, of images that the networks never saw.

    Parameters
    ----------
    rows : tuple of (str, float, float)
        A name, and the means over images of IoU and Dice.
    clicks : float
        Clicks an image that the last row was measured with.
    obeyed : float, optional
        Share of the clicks that were obeyed.
    count : int
        How many clicks there were.
    """

    rows: tuple[tuple[str, float, float], ...]
    clicks: float
    obeyed: float | None
    count: int


@dataclass(frozen=True, slots=True)
class CrossfitProgress:
    """How far a cross-fitting is.

    Parameters
    ----------
    parts : mapping of Step to Part
        In the order in which they are done.
    aim : frozenset of Step
        Those that the present process is to do, in the end.
    placed : bool
        There are clicks to look at.
    editable : bool
        They can be edited: nothing has learned from them.
    """

    parts: Mapping[Step, Part] = field(default_factory=dict)
    aim: frozenset[Step] = frozenset()
    placed: bool = False
    editable: bool = False
    figures: MainFigures | None = None

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return max((fold or 0 for _, fold in self.parts), default=0)

    @property
    def current(self) -> Step | None:
        """What is being done."""
        return next((step for step, part in self.parts.items() if part.state == "running"), None)

    @property
    def last(self) -> Step | None:
        """The last training that is done."""
        done = [s for s, part in self.parts.items() if s[0] in _TRAININGS and part.share == 1]
        return done[-1] if done else None

    @property
    def pauses(self) -> bool:
        """Whether the present process ends before the report."""
        return bool(self.aim) and ("report", None) not in self.aim

    @property
    def done(self) -> float:
        """The share of the trainings that is done, 0 … 1; other stages are short."""
        shares = [p.share for (stage, _), p in self.parts.items() if stage in _TRAININGS]
        return fmean(shares) if shares else 0.0

    def halted(self) -> CrossfitProgress:
        """Return what is so once nothing goes on any more."""
        parts = {
            step: replace(part, state="waiting", first=None) if part.state == "running" else part
            for step, part in self.parts.items()
        }
        return replace(self, parts=parts)

    @property
    def seconds_left(self) -> float | None:
        """How long it may still take; None where that is not known."""
        known: dict[str, list[float]] = {}
        for (stage, _), part in self.parts.items():
            if part.seconds is not None:
                known.setdefault(stage, []).append(part.seconds)
        trainings = [value for stage in _TRAININGS for value in known.get(stage, ())]
        if not trainings:
            return None
        usual = {stage: fmean(values) for stage, values in known.items()}
        left = 0.0
        for step, part in self.parts.items():
            if part.state in ("waiting", "running") and step in self.aim:
                rest = fmean(trainings) if step[0] in _TRAININGS else 0.0
                left += (1 - part.share) * usual.get(step[0], rest)
        return left


@dataclass(frozen=True, slots=True)
class CrossfitRun(RunProgress):
    """What is known of a cross-fitting; epochs and curves are those of the training going on."""

    crossfit: CrossfitProgress = CrossfitProgress()

    @property
    def done(self) -> float:
        """The share of all trainings that is done, 0 … 1."""
        return 1.0 if self.status == "finished" else self.crossfit.done


def parts_of(run: RunProgress) -> CrossfitProgress | None:
    """Return how far a cross-fitting is; None where a run is none."""
    return run.crossfit if isinstance(run, CrossfitRun) else None


def follow(progress: CrossfitRun, events: Iterable[Event]) -> CrossfitRun:
    """Return what is known after more events of a cross-fitting.

    Parameters
    ----------
    progress : CrossfitRun
        What was known before.
    events : iterable of mappings
        Lines of its events.jsonl in their order; those of a kind that is not known are skipped.
    """
    for event in events:
        taken = _TAKEN.get(str(event.get("event")))
        progress = _as_a_run(progress, event) if taken is None else taken(progress, event)
    return progress


def _as_a_run(progress: CrossfitRun, event: Event) -> CrossfitRun:
    known = follow_run(progress, [event])
    assert isinstance(known, CrossfitRun)
    return known


def _started(progress: CrossfitRun, event: Event) -> CrossfitRun:
    crossfit = progress.crossfit
    aim: dict[Step, bool] = {
        (one["stage"], one["fold"]): bool(one.get("done")) for one in event.get("stages", ())
    }
    parts = {
        step: replace(part, state="waiting") if part.state != "done" else part
        for step, part in crossfit.parts.items()
    }
    for step, done in aim.items():
        if done:
            parts[step] = replace(parts.get(step, Part()), state="done", share=1.0)
        else:
            parts[step] = replace(parts.get(step, Part()), state="waiting", message="", first=None)
    return replace(
        progress,
        status="running",
        pid=int(event.get("pid", 0)),
        since=float(event.get("time") or 0.0),
        reason="",
        error="",
        crossfit=replace(crossfit, parts=parts, aim=frozenset(aim)),
    )


def _stage(progress: CrossfitRun, event: Event) -> CrossfitRun:
    state = str(event.get("state"))
    part = _part(progress, event)
    match state:
        case "started":
            part = replace(part, state="running", message="", first=None)
        case "finished":
            seconds = event.get("seconds")
            seconds = max(seconds or 0.0, part.seconds or 0.0)  # of the last stretch only
            part = replace(part, state="done", share=1.0, seconds=seconds, first=None)
        case "failed" | "skipped":
            message = str(event.get("message") or "")
            part = replace(part, state=state, message=message, first=None)
        case "stopped":
            part = replace(part, state="waiting", first=None)
    return _with(progress, event, part)


def _progress(progress: CrossfitRun, event: Event) -> CrossfitRun:
    part, when = _part(progress, event), float(event.get("time") or 0.0)
    done, total = int(event.get("done") or 0), int(event.get("total") or 0)
    share = done / total if total else 0.0
    if event.get("batches") and total:  # within the epoch that goes on
        share = (done - 1 + event.get("batch", 0) / event["batches"]) / total
    share = min(1.0, max(0.0, share))
    first = part.first or (when, share)
    seconds = part.seconds
    if share - first[1] >= _LEAST:
        seconds = (when - first[0]) / (share - first[1])
    part = replace(
        part, state="running", done=done, total=total, share=share, first=first, seconds=seconds
    )
    return _with(progress, event, part)


def _finished(progress: CrossfitRun, event: Event) -> CrossfitRun:
    paused = event.get("reason") == "paused"
    progress = _as_a_run(progress, event)
    return replace(progress, status="paused") if paused else progress


def _part(progress: CrossfitRun, event: Event) -> Part:
    return progress.crossfit.parts.get((event["stage"], event.get("fold")), Part())


def _with(progress: CrossfitRun, event: Event, part: Part) -> CrossfitRun:
    crossfit = progress.crossfit
    parts = {**crossfit.parts, (event["stage"], event.get("fold")): part}
    return replace(progress, crossfit=replace(crossfit, parts=parts))


_TAKEN: dict[str, Callable[[CrossfitRun, Event], CrossfitRun]] = {
    "started": _started,
    "stage": _stage,
    "progress": _progress,
    "finished": _finished,
}
