"""Cross-fittings on disk, as the Train widget follows them. Knows neither layers nor Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_clickseg.crossfit.crossfitting import graph
from napari_clickseg.crossfit.editing import can_edit
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.progress import (
    CrossfitProgress,
    CrossfitRun,
    MainFigures,
    Part,
    Step,
    follow,
)
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.crossfit.stages import is_done
from napari_clickseg.training.progress import Message
from napari_clickseg.training.reader import RunReader
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_clickseg.runs.process import Launch
    from napari_clickseg.training.progress import Event, RunProgress
    from napari_clickseg.training.run_folder import RunFolder

_NAMES = {"baseline": "baseline", "no_clicks": "no clicks", "clicks": "with clicks"}


def is_crossfit(path: Path) -> bool:
    """Whether a folder is that of a cross-fitting."""
    return (path / "folds.csv").is_file()


class CrossfitReader(RunReader):
    """Reads a cross-fitting's events as they come, and those of the training that goes on.

    Parameters
    ----------
    launched : Launch, optional
        The process that was just started for it.

    Raises
    ------
    CrossfitError
        By `look`, if it is none.
    """

    def __init__(self, path: Path, launched: Launch | None = None) -> None:
        self.folder = CrossfitFolder(path)
        super().__init__(path, launched)
        self._training: tuple[Step, RunReader] | None = None
        self._figures: MainFigures | None = None
        self._parts_known = False

    @staticmethod
    def _unknown(path: Path) -> RunProgress:
        return CrossfitRun(path, path.name)

    def _follow(self, known: RunProgress, events: Iterable[Event]) -> RunProgress:
        assert isinstance(known, CrossfitRun)
        return follow(known, events)

    def look(self) -> CrossfitRun:
        """Read what is new and return what is known now."""
        if not self._parts_known:
            assert isinstance(self._known, CrossfitRun)
            parts = CrossfitProgress(_parts(self.folder))
            self._known, self._parts_known = replace(self._known, crossfit=parts), True
        run = super().look()
        assert isinstance(run, CrossfitRun)
        if run.status in ("finished", "stopped", "failed") and self._figures is None:
            run = self._with_figures(run)
            assert run.crossfit is not None
        placed = self.folder.clicks.exists()
        known = run.crossfit if run.alive else run.crossfit.halted()
        crossfit = replace(
            known,
            placed=placed,
            editable=placed and not run.alive and can_edit(self.folder),
            figures=self._figures if not run.alive else None,
        )
        left = crossfit.seconds_left if run.status == "running" else None
        return replace(self._with_training(run), crossfit=crossfit, seconds_left=left)

    def _with_figures(self, run: CrossfitRun) -> CrossfitRun:
        """Read what was measured; where that can't be read, it is said, and the rest is shown."""
        try:
            self._figures = figures_of(self.folder)
        except (CrossfitError, ValueError, KeyError, ArithmeticError) as error:
            message = Message(f"No figures: {one_line(error)}", warning=True)
            if message not in run.messages:
                run = replace(run, messages=(*run.messages, message))
        return run

    def _with_training(self, run: CrossfitRun) -> CrossfitRun:
        """Add what is known of the training that goes on, or of the last one that did."""
        step = run.crossfit.current or (None if self._training else run.crossfit.last)
        training = self._run(step) if step is not None else None
        if step is not None and training is not None:
            if self._training is None or self._training[0] != step:
                self._training = step, RunReader(training.path)
        if self._training is None:
            return run
        known = self._training[1].look()
        return replace(
            run, curves=known.curves, epoch=known.epoch, epochs=known.epochs, device=known.device
        )

    def _run(self, step: Step) -> RunFolder | None:
        stage, fold = step
        if stage in ("baseline", "clicked") and fold is not None:
            return self.folder.run(fold, stage)
        return self.folder.final if stage == "final" else None


def _parts(folder: CrossfitFolder) -> dict[Step, Part]:
    """Return what is to be done, and what is there before anything is said of it."""
    parts: dict[Step, Part] = {}
    for stage, fold, _ in graph(folder):
        done = is_done(folder, stage, fold)
        parts[stage, fold] = Part("done", share=1.0) if done else Part()
    return parts


def figures_of(folder: CrossfitFolder) -> MainFigures | None:
    """Return the report's main figures; None where no fold was measured."""
    from napari_clickseg.crossfit.report import overview

    figures = overview(folder)
    if figures is None:
        return None
    values = figures["all"]
    rows = tuple(
        (name, values[kind]["iou_imagewise"], values[kind]["dice_imagewise"])
        for kind, name in _NAMES.items()
    )
    obeyed = figures["obedience"][-1]  # all clicks, whatever the baseline's confidence
    return MainFigures(rows, figures["generated_clicks"], obeyed["obeyed"], obeyed["count"])


def resume_arguments(folder: CrossfitFolder, *, pause: bool | None = None) -> list[str]:
    """Return the command's arguments that go on with a cross-fitting.

    Parameters
    ----------
    folder : CrossfitFolder
        It pauses once the clicks are placed, if they are not and that was asked for.
    pause : bool, optional
        Whether it was; by default, what its last process was to do says so.
    """
    if pause is None:
        started = [e for e in folder.log.events()[0] if e.get("event") == "started"]
        stages = [one.get("stage") for one in started[-1].get("stages", ())] if started else []
        pause = bool(stages) and "report" not in stages
    until = ["--until", "clicks"] if pause and not folder.clicks.exists() else []
    return ["crossfit", "--resume", "--out", str(folder.path), *until]
