"""What the Train widget has done in the background. All of this runs on worker threads."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.train import crossfit_jobs
from napari_clickseg._napari.train.fields import checked, crossfit_checked
from napari_clickseg._napari.train.state import Check
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.reader import is_crossfit, resume_arguments
from napari_clickseg.models.trained_models import note_origins
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.runs.home import new_run, plain_name
from napari_clickseg.runs.process import Launch, alive, last_words, launch
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TASK_WORDS
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.crossfit.spec import CrossfitSpec
    from napari_clickseg.data.inspection.facts import Findings, Problem
    from napari_clickseg.data.project import Project
    from napari_clickseg.runs.log import EventLog
    from napari_clickseg.training.spec import TrainingSpec

    Steps = Callable[[int, int], object]
    Gather = Callable[[Path, Steps], Path]

_BROKEN = ("unreadable", "size")  # problems of single images, which may be left out
_ASK = """
import json
from napari_clickseg.models.choices import architectures, encoders
print(json.dumps({"architecture": architectures(), "encoder": encoders()}))
"""


_NAMES: dict[str, tuple[str, ...]] = {}  # of networks, once they are known


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """What is to be checked or trained.

    Parameters
    ----------
    project : str
        Path of a project folder or CSV file; empty where layers are gathered.
    gather : callable, optional
        ``gather(folder, steps)`` makes a project folder of layers.
    folder : Path
        Where that is made.
    home : Path
        Where the run will be.
    name : str
        What the model is called; empty for the project's name.
    settings : mapping
        Fields of the spec, and of that of a cross-fitting.
    crossfit : bool
        Click training by cross-fitting is meant.
    pause : bool
        It pauses when the clicks are placed.
    said : tuple of str
        What the user should know of how it was chosen.
    origins : tuple of str
        Folders of the projects that the layers were opened from.
    """

    project: str
    gather: Gather | None
    folder: Path
    home: Path
    name: str
    settings: Mapping[str, Any]
    crossfit: bool = False
    pause: bool = False
    said: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def spec(self, source: Path) -> TrainingSpec:
        """Return the spec for a project."""
        return checked(self.settings, project=str(source), name=self._name(source))

    def crossfit_spec(self, source: Path) -> CrossfitSpec:
        """Return the spec of a cross-fitting on a project."""
        return crossfit_checked(self.settings, project=str(source), name=self._name(source))

    def _name(self, source: Path) -> str:
        name = self.name or (source.parent.name if source.is_file() else source.name)
        return plain_name(name or "model")


def inspect(order: TrainingOrder, stop: Stop, steps: Steps) -> tuple[Path, Check]:
    """Gather what is to be gathered, and look through it.

    Returns
    -------
    source : Path
        The project folder or CSV file.
    check : Check

    Raises
    ------
    Stopped
        If it has become useless.
    ProjectError, SpecError
        If there is nothing to look through, or a setting makes no sense.
    """
    return _inspected(order, stop, steps)[:2]


def _inspected(order: TrainingOrder, stop: Stop, steps: Steps) -> tuple[Path, Check, Findings]:
    from napari_clickseg.data.inspection.findings import inspect_project
    from napari_clickseg.data.project import read_project
    from napari_clickseg.training.prepare import project_for

    def step(done: int, wanted: int) -> None:
        if stop():
            raise Stopped
        steps(done, wanted)

    checked(order.settings)  # before a minute goes by
    if order.gather is not None:
        source = order.gather(order.folder, step)
    else:
        source = Path(order.project).expanduser()
    spec = order.spec(source)
    project = read_project(source) if order.crossfit else project_for(spec)
    findings = inspect_project(project, step)
    check = _check_of(findings, spec, planned=not order.crossfit, layers=order.gather is not None)
    if order.crossfit and not check.errors:
        check = crossfit_jobs.planned(check, order.crossfit_spec(source), project, findings)
    elif spec.task == "instances" and not check.errors:
        check = _with_ground_truth(check, project, findings, spec)
    return source, replace(check, warnings=(*order.said, *check.warnings)), findings


def begin(order: TrainingOrder, stop: Stop, steps: Steps) -> tuple[Check, Path, Launch | None]:
    """Look through the project, and start to train unless something stands in the way.

    Returns
    -------
    check : Check
    path : Path
        The run's folder.
    launched : Launch or None
        None where it could not be started.

    Raises
    ------
    Stopped, ProjectError, SpecError, RunError, OSError
    """
    source, check, findings = _inspected(order, stop, steps)
    if check.errors:
        return check, Path(), None
    if stop():
        raise Stopped
    spec = order.spec(source)
    path = new_run(order.home, spec.name)
    if order.crossfit:
        known = order.crossfit_spec(source)
        arguments = crossfit_jobs.begin(known, path, findings, pause=order.pause)
        _note(CrossfitFolder(path).log, order)
        note_origins(path, order.origins)
        return check, path, _wanted(launch(arguments, path), stop)
    RunFolder(path).create(spec)
    _note(RunFolder(path), order)
    note_origins(path, order.origins)
    arguments = ["train", str(source), "--spec", str(path / "spec.json"), "--out", str(path)]
    return check, path, _wanted(launch(arguments, path), stop)


def _note(log: EventLog, order: TrainingOrder) -> None:
    """Have what the user should know stay among the messages of the run."""
    for text in order.said:
        log.add("message", level="warning", text=text)


def _wanted(launched: Launch, stop: Stop) -> Launch:
    """Take a process back that was stopped while it was being started."""
    if stop() and launched.pid > 0:
        with contextlib.suppress(OSError):  # it has ended
            os.kill(launched.pid, signal.SIGTERM)
        raise Stopped
    return launched


def resume(path: Path) -> Launch:
    """Start a process that goes on with a run, or with a cross-fitting.

    Raises
    ------
    RunError, CrossfitError, OSError
        If it is no run, or the process can't be started.
    """
    if is_crossfit(path):
        return launch(resume_arguments(CrossfitFolder(path)), path)
    _ = RunFolder(path).spec  # so that what is no run is refused here
    return launch(["train", "--resume", str(path)], path)


def samples(order: TrainingOrder, stop: Stop, steps: Steps) -> npt.NDArray[np.uint8]:
    """Have sixteen windows drawn as they would be learned from; another process does that.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    Stopped, ProjectError, SpecError
    OSError
        If it can't be drawn; the message says why.
    """
    import imageio.v3 as iio

    source, check = inspect(order, stop, steps)
    if check.errors:
        raise OSError(check.errors[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec, picture = folder / "spec.json", folder / "samples.png"
        spec.write_text(order.spec(source).model_dump_json(), encoding="utf-8")
        launched = launch(
            ["train", str(source), "--spec", str(spec), "--samples", str(picture)], folder
        )
        while alive(launched.pid):
            if stop():
                os.kill(launched.pid, signal.SIGTERM)
                raise Stopped
            time.sleep(0.1)
        if not picture.exists():
            raise OSError(last_words(folder) or "The samples could not be drawn.")
        return iio.imread(picture, plugin="pillow")[..., :3]


def keep_model(model: Path, name: str) -> str:
    """Copy a run's model to the user's models, and return the name it is found by there.

    Raises
    ------
    OSError
        If it can't be copied.
    """
    from napari_clickseg.models.registry import user_folder

    folder = user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(
        folder / f"{plain_name(name)}.safetensors",
        lambda path: shutil.copyfile(model, os.fspath(path)),
    )
    return plain_name(name)


def list_names(stop: Stop) -> dict[str, tuple[str, ...]]:
    """Return the names of all architectures and encoders.

    Another process asks for them, once: importing segmentation_models_pytorch here would hold
    napari. It ends with whoever asked.

    Raises
    ------
    OSError
        If that fails.
    Stopped
        If nobody wants to know any more.
    """
    if not _NAMES:
        asked = subprocess.Popen(
            [sys.executable, "-c", _ASK],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        with asked:
            answer = _answer(asked, stop)
        try:
            by_field: dict[str, list[str]] = json.loads(answer.splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise OSError("The names of networks can't be listed; type them.") from error
        _NAMES.update({field: tuple(names) for field, names in by_field.items()})
    return dict(_NAMES)


def _answer(asked: subprocess.Popen[str], stop: Stop) -> str:
    """Wait for what a process says; end it where nobody wants to know any more."""
    while True:
        try:
            return asked.communicate(timeout=0.1)[0]
        except subprocess.TimeoutExpired:
            if stop():
                asked.kill()
                raise Stopped from None


def _check_of(
    findings: Findings, spec: TrainingSpec, *, planned: bool = True, layers: bool = False
) -> Check:
    from napari_clickseg.data.inspection.summary import summarise
    from napari_clickseg.training.prepare import leak, one_class

    lines = [line for line in summarise(findings).splitlines() if not _is_problem(line)]
    skipped = [p for p in findings.fatal if p.kind in _BROKEN and spec.corrupt == "skip"]
    errors = tuple(p.text for p in findings.stopping(spec.task, spec.classes) if p not in skipped)
    warnings = [f"{problem.text} It is left out." for problem in skipped]
    warnings += [_said_of_layers(one) if layers else one.text for one in findings.warnings]
    warnings += (*leak(findings, spec), *one_class(findings, spec)) if planned else ()
    plan = _plan(spec, findings) if planned and not errors else ""
    return Check(tuple(lines), tuple(warnings), errors, plan, _classes(findings, spec))


def _with_ground_truth(
    check: Check, project: Project, findings: Findings, spec: TrainingSpec
) -> Check:
    """Add what is assumed of objects that are to be told apart, or why they can't be learned."""
    from napari_clickseg.data.sets.splits import SplitError
    from napari_clickseg.training.loop.work import TrainingError
    from napari_clickseg.training.prepare import check_ground_truth

    try:
        said = check_ground_truth(project, findings, spec)
    except (SplitError, TrainingError) as error:
        return replace(check, errors=(str(error),), plan="")
    return replace(check, warnings=(*check.warnings, *said))


def _said_of_layers(problem: Problem) -> str:
    """Return what to do about a problem where layers are open, and no table to write into."""
    there = "Double-click under Group to give those the same name."
    return problem.text.replace("Give groups in index.csv.", there)


def _classes(findings: Findings, spec: TrainingSpec) -> tuple[tuple[int, str], ...]:
    scheme = findings.scheme if spec.scheme == "auto" else spec.scheme
    if scheme != "classes":
        return ()
    return tuple((number, findings.class_name(number)) for number in findings.ids)


def _is_problem(line: str) -> bool:
    return line.startswith(("Stops: ", "Note: "))


def _plan(spec: TrainingSpec, findings: Findings) -> str:
    """Return what would be trained, in a sentence."""
    from napari_clickseg.training.defaults import completed

    spec = completed(spec, findings)
    what = "a click model" if spec.task == "click" else f"a model ({TASK_WORDS[spec.task]})"
    start = {"scratch": "from scratch", "imagenet": "from ImageNet"}.get(
        spec.start, f"from {Path(spec.start).name}"
    )
    return (
        f"Will train {what} {start}: at most {counted(spec.epochs, 'epoch')} of "
        f"{counted(spec.windows, 'window')} of {spec.size} × {spec.size} pixels, "
        f"{spec.batch} at a time, {spec.augmentation} augmentation."
    )
