"""A run in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.train import crossfit_text
from napari_clickseg.crossfit.progress import CrossfitRun, parts_of
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from napari_clickseg._napari.train.state import Check, TrainState
    from napari_clickseg.training.progress import RunProgress

_MOST_METRICS = 4
_WAITING = 0.1  # share of the time from which on it is worth a word
_NAMES = {"iou": "IoU", "dice": "Dice", "noc": "NoC"}
_OBJECTS = {  # of models that tell objects apart; those that are drawn
    "pq": "PQ",
    "ap_50": "AP50",
    "f1_50": "F1",
    "pq_pieces": "PQ of pieces",
}


def time_text(seconds: float) -> str:
    """Return a length of time, as exact as anybody wants to know it."""
    if seconds < 50:
        return f"{max(1, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def busy_text(state: TrainState) -> str:
    """Return what is being done, and how far that is; "" if nothing is."""
    done, wanted = state.steps
    return f"{state.busy} {done} of {wanted}" if state.busy and wanted else state.busy


def check_text(check: Check) -> str:
    """Return in a line what Check came to; all of it may stand where one has to scroll to."""
    if check.errors:
        return check.errors[0]
    notes = f", with {counted(len(check.warnings), 'warning')}" if check.warnings else ""
    return f"{check.lines[0].rstrip('.')}: can be trained{notes}. All that was found stands below."


def status_text(run: RunProgress) -> str:
    """Return where a run is, in a line or two."""
    match run.status:
        case "none":
            return "No training yet."
        case "preparing":
            return "Preparing the images …"
        case "starting":
            return "Starting; the first seconds go into loading the network …"
        case "failed":
            return f"Failed: {run.error}"
        case _ if isinstance(run, CrossfitRun):
            return crossfit_text.status_text(run, _rest(run))
        case "running" | "stopping":
            return _going(run)
        case "finished":
            kept = f" The model of epoch {run.curves.best} is kept." if run.curves.best else ""
            early = ", as it got no better" if run.reason == "early" else ""
            helped = " Whether it helped stands below." if run.verdict is not None else ""
            return f"Done after {_epochs(run)}{early}.{kept}{helped}"
        case _:
            kept = " The best model so far is kept." if run.model else ""
            end = "Ended unexpectedly" if run.reason == "ended" else "Stopped"
            return f"{end} after {_epochs(run)}.{kept}"


def _going(run: RunProgress) -> str:
    if run.measuring and run.status == "running":
        return f"Seeing whether it helped, after {_epochs(run)} …"
    epoch = f"Epoch {run.epoch} of {run.epochs}" if run.epochs else f"Epoch {run.epoch}"
    rest = _rest(run)
    return f"{epoch} · {rest}" if rest else epoch


def _rest(run: RunProgress) -> str:
    parts = []
    if run.status == "stopping":
        parts.append("stopping after this batch")
    elif run.seconds_left is not None:
        crossfit = parts_of(run)
        until = " until it pauses" if crossfit is not None and crossfit.pauses else " left"
        parts.append(f"about {time_text(run.seconds_left)}{until}")
    if run.device:
        parts.append(f"on {run.device}")
    if run.waiting is not None and run.waiting > _WAITING:
        parts.append(f"{run.waiting:.0%} of the time waiting for windows")
    if run.training:
        parts.append(
            f"{counted(run.training, 'image')} for training, {run.validation} for validation"
        )
    return " · ".join(parts)


def _epochs(run: RunProgress) -> str:
    count = max(run.curves.loss, default=0)
    return f"{count} epoch{'' if count == 1 else 's'}"


def metric_text(name: str) -> str:
    """Return a metric's name as people write it."""
    if name in _OBJECTS:
        return _OBJECTS[name]
    first, _, rest = name.partition("_")
    rest = {"macro": "", "clicks": ""}.get(rest, rest)
    return f"{_NAMES.get(first, first)} {rest.replace('_', ' ')}".strip()


def shown_metrics(names: list[str]) -> list[str]:
    """Return the metrics that are drawn: few, the ones over all classes first."""
    if "iou_clicks" in names:  # the others say the same after so and so many clicks
        return ["iou_clicks"]
    if "pq" in names:
        return [name for name in _OBJECTS if name in names]
    whole = [name for name in names if name.endswith("_macro")]
    sums = ("dice_micro", "dice_imagewise", *whole)
    classes = [name for name in names if name.startswith("dice_") and name not in sums]
    if len(classes) < 2:
        classes = []  # the one class is what the mean is of
    return [*whole, *classes][:_MOST_METRICS] or names[:_MOST_METRICS]


def figure_text(value: float | None) -> str:
    """Return a figure of the table; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value >= 1.5 else f"{value:.3f}"
