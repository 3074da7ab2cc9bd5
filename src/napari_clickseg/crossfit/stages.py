"""The stages of a cross-fitting. Each leaves its output on disk, and goes on where it was."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Literal

from napari_clickseg.crossfit.folder import CrossfitFolder, Done
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.runs.conduct import Stopped, carry_out
from napari_clickseg.runs.spread import ONE_AT_A_TIME
from napari_clickseg.training.nested import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.crossfit.folder import Stage
    from napari_clickseg.training.run_folder import RunFolder
    from napari_clickseg.training.spec import TrainingSpec

_SECOND = 1.0


def run_stage(path: str, stage: Stage, fold: int | None, before: Sequence[Done]) -> Done:
    """Carry a stage out, if that was not done before; may run in another process.

    Parameters
    ----------
    fold : int or None
        From 1.
    before : sequence of Done
        The stages that it needs.

    Returns
    -------
    Done
        With a problem where it failed, so that the others go on.

    Raises
    ------
    Stopped
        If it was asked to stop.
    """
    folder = CrossfitFolder(path)
    with ONE_AT_A_TIME:
        _heed(folder)
        reason = _hindrance(stage, before)
        if reason:
            folder.log.add("stage", stage=stage, fold=fold, state="skipped", message=reason)
            return Done(stage, fold, reason)
        if is_done(folder, stage, fold):
            return Done(stage, fold)
        work = partial(_carry_out, folder, stage, fold, before)
        return Done(stage, fold, carry_out(work, folder.log, "stage", stage=stage, fold=fold))


def is_done(folder: CrossfitFolder, stage: Stage, fold: int | None) -> bool:
    """Whether a stage's output is there; the report is always made anew."""
    match stage:
        case "baseline" | "clicked":
            run = folder.run(fold or 0, stage)
            return run.state == "finished" and run.model.exists()
        case "predict":
            rows = [row for row in folder.rows if row.fold == fold]
            return all((folder.predictions / row.prediction).exists() for row in rows)
        case "clicks":
            return folder.clicks.exists() and not _some_without_clicks(folder)
        case "measure":
            return folder.measured(fold or 0).exists()
        case "final":
            return folder.final.state == "finished" and folder.final.model.exists()
    return False


def _some_without_clicks(folder: CrossfitFolder) -> bool:
    try:
        return bool(folder.without_clicks())
    except ProjectError:
        return False  # whoever learns from the table says what is wrong with it


def _hindrance(stage: Stage, before: Sequence[Done]) -> str:
    """Return why a stage can't be carried out; "" where it can."""
    failed = [done for done in before if done.problem]
    needs_all = stage not in ("clicks", "report")
    if failed and (needs_all or len(failed) == len(before)) and stage != "report":
        where = f" of fold {failed[0].fold}" if failed[0].fold else ""
        text = failed[0].problem
        return (
            text if text.startswith("since ") else f"since {failed[0].stage}{where} failed: {text}"
        )
    return ""


def _carry_out(
    folder: CrossfitFolder, stage: Stage, fold: int | None, before: Sequence[Done]
) -> None:
    match stage:
        case "baseline" | "clicked":
            assert fold is not None
            _train(folder, stage, fold, folder.run(fold, stage))
        case "predict":
            from napari_clickseg.crossfit.predicting import predict_fold

            predict_fold(folder, fold or 0, _teller(folder, stage, fold))
        case "clicks":
            from napari_clickseg.crossfit.clicks import make_clicks

            make_clicks(folder, _teller(folder, stage, fold))
        case "measure":
            from napari_clickseg.crossfit.measure import measure_fold

            measure_fold(folder, fold or 0, _teller(folder, stage, fold))
        case "final":
            _train(folder, "final", None, folder.final)
        case "report":
            from napari_clickseg.crossfit.report import finish

            finish(folder, [done for done in before if done.problem])


def _train(
    folder: CrossfitFolder,
    stage: Literal["baseline", "clicked", "final"],
    fold: int | None,
    run: RunFolder,
) -> None:
    where = f"{stage} of fold {fold}" if fold else stage
    tell = partial(folder.log.add, "progress", stage=stage, fold=fold, unit="epoch")
    train(training_spec(folder, stage, fold), run, folder.log, tell, where)
    run.checkpoint.unlink(missing_ok=True)  # as large as several models, and not needed any more


def training_spec(
    folder: CrossfitFolder, stage: Literal["baseline", "clicked", "final"], fold: int | None
) -> TrainingSpec:
    """Return how one of the networks is trained."""
    spec = folder.spec
    training, name = spec.training, spec.training.name
    table = "" if spec.clicks == "simulated" else str(folder.clicks.resolve())
    start = {} if stage == "baseline" else _start(folder, fold)
    if stage == "final":
        return training.changed(
            clicks=spec.clicks, clicks_from=table, learn_all=True, patience=0, **start
        )
    project = str((folder.fold(fold or 0) / "index.csv").resolve())
    if stage == "baseline":
        return training.changed(
            project=project, name=f"{name}, baseline {fold}", click_probability=0.0
        )
    return training.changed(
        project=project,
        name=f"{name}, fold {fold}",
        clicks=spec.clicks,
        clicks_from=table,
        **start,
    )


def _start(folder: CrossfitFolder, fold: int | None) -> dict[str, str]:
    """Return what click training begins with; the final one, with any baseline there is."""
    if folder.spec.begin == "baseline":
        for number in [fold] if fold else folder.folds:
            model = folder.run(number, "baseline").model
            if model.exists():
                return {"start": str(model.resolve()), "start_parts": "all"}
    return {}


def _teller(folder: CrossfitFolder, stage: Stage, fold: int | None) -> Callable[[int, int], None]:
    """Say how many images are done, about once a second; stop where that was asked."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        _heed(folder)
        now = time.monotonic()
        if now - last >= _SECOND or done == total:
            last = now
            folder.log.add("progress", stage=stage, fold=fold, done=done, total=total, unit="image")

    return tell


def _heed(folder: CrossfitFolder) -> None:
    if folder.log.stop_requested():
        raise Stopped
