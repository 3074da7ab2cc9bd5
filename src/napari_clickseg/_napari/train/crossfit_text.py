"""A cross-fitting in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.crossfit.progress import (
        CrossfitProgress,
        CrossfitRun,
        MainFigures,
        Part,
        Step,
    )

STAGE_NAMES = {
    "baseline": "Baseline",
    "predict": "Prediction",
    "clicks": "Clicks",
    "clicked": "Click training",
    "measure": "Measuring",
    "final": "Final model",
    "report": "Report",
}
_DOING = {
    "baseline": "training the baseline",
    "predict": "predicting its images",
    "clicks": "placing clicks on the errors",
    "clicked": "click training",
    "measure": "measuring on its images",
    "final": "training the final model on all images",
    "report": "writing the report",
}
_SIGNS = {"waiting": "·", "done": "✓", "failed": "✗", "skipped": "-"}


def status_text(run: CrossfitRun, going: str) -> str:
    """Return where a cross-fitting is, in a line or two.

    Parameters
    ----------
    going : str
        What else there is to say while it goes on, such as the time left.
    """
    crossfit = run.crossfit
    match run.status:
        case "running" | "stopping":
            doing = _doing(crossfit)
            return f"{doing} · {going}" if going else doing
        case "paused":
            return "Paused: the clicks are placed. Look at them, edit some if you like, and go on."
        case "finished":
            failed = [one for one in crossfit.parts.values() if one.state in ("failed", "skipped")]
            if ("final", None) not in crossfit.parts:
                return "Done. No final model was asked for."
            if run.model is None:
                return "Done, but there is no model; see the messages."
            return "Done." + (" Some of it failed; see the report." if failed else "")
    end = "Ended unexpectedly" if run.reason == "ended" else "Stopped"
    return f"{end}. What is done is kept; Resume goes on."


def _doing(crossfit: CrossfitProgress) -> str:
    step = crossfit.current
    if step is None:
        return "Going on"
    (stage, fold), part = step, crossfit.parts[step]
    text = _DOING[stage]
    if fold is not None:
        text = f"Fold {fold} of {crossfit.folds}: {text}"
    if part.total:
        unit = "epoch" if stage in ("baseline", "clicked", "final") else "image"
        text += f", {unit} {min(part.done, part.total)} of {part.total}"
    return text[0].upper() + text[1:]


def part_text(part: Part) -> str:
    """Return how far a stage is, short enough for a table."""
    if part.state == "running":
        return f"{part.share:.0%}"
    if part.state == "waiting" and part.share:
        return f"({part.share:.0%})"  # it was stopped there
    return _SIGNS[part.state]


def part_tip(step: Step, part: Part) -> str:
    """Return what a cell of the table stands for."""
    name = STAGE_NAMES[step[0]] + (f" of fold {step[1]}" if step[1] else "")
    said = {
        "waiting": "to be done",
        "running": "going on",
        "done": "done",
        "failed": "failed",
        "skipped": "left out",
    }[part.state]
    return f"{name}: {said}{f', {part.message}' if part.message else ''}"


def figures_lines(figures: MainFigures) -> Sequence[tuple[str, str, str]]:
    """Return the table of the main figures: its head, and a line for each kind of model."""
    lines = [("On images it never saw", "IoU", "Dice")]
    names = {"no clicks": "click-trained, no clicks"}
    names["with clicks"] = f"with {figures.clicks:.1f} clicks an image"
    lines += [(names.get(name, name), f"{iou:.3f}", f"{dice:.3f}") for name, iou, dice in
              figures.rows]  # fmt: skip
    return lines


def obedience_text(figures: MainFigures) -> str:
    """Return how many clicks were obeyed; empty where there were none."""
    if figures.obeyed is None:
        return ""
    verb = "was" if figures.count == 1 else "were"
    return f"{figures.obeyed:.0%} of {counted(figures.count, 'click')} {verb} obeyed."
