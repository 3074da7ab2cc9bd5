"""What the Train widget has done in the background. All of this runs on worker threads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.training_runs import Launch, last_words, launch, new_run, plain_name
from napari_clickseg._napari.training_settings import checked
from napari_clickseg._napari.training_state import Found
from napari_clickseg.training.runs import RunFolder, alive, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg._napari.runner import Stop
    from napari_clickseg.data.facts import Findings
    from napari_clickseg.training.spec import TrainingSpec

    Steps = Callable[[int, int], object]
    Gather = Callable[[Path, Steps], Path]

__all__ = ["Order", "Stopped", "begin", "inspect", "keep_model", "list_names", "resume", "samples"]


_BROKEN = ("unreadable", "size")  # problems of single images, which may be left out
_ASK = """
import json
from napari_clickseg.models.choices import architectures, encoders
print(json.dumps({"architecture": architectures(), "encoder": encoders()}))
"""


class Stopped(Exception):
    """What was done has become useless."""


@dataclass(frozen=True, slots=True)
class Order:
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
        Fields of the spec.
    """

    project: str
    gather: Gather | None
    folder: Path
    home: Path
    name: str
    settings: Mapping[str, Any]

    def spec(self, source: Path) -> TrainingSpec:
        """Return the spec for a project."""
        name = self.name or (source.parent.name if source.is_file() else source.name) or "model"
        return checked(self.settings, project=str(source), name=plain_name(name))


def inspect(order: Order, stop: Stop, steps: Steps) -> tuple[Path, Found]:
    """Gather what is to be gathered, and look through it.

    Returns
    -------
    source : Path
        The project folder or CSV file.
    found : Found

    Raises
    ------
    Stopped
        If it has become useless.
    ProjectError, SpecError
        If there is nothing to look through, or a setting makes no sense.
    """
    from napari_clickseg.data.findings import inspect_project
    from napari_clickseg.data.project import read_project

    def step(done: int, wanted: int) -> None:
        if stop():
            raise Stopped
        steps(done, wanted)

    checked(order.settings)  # before a minute goes by
    if order.gather is not None:
        source = order.gather(order.folder, step)
    else:
        source = Path(order.project).expanduser()
    findings = inspect_project(read_project(source), step)
    return source, _found(findings, order.spec(source))


def begin(order: Order, stop: Stop, steps: Steps) -> tuple[Found, Path, Launch | None]:
    """Look through the project, and start to train unless something stands in the way.

    Returns
    -------
    found : Found
    path : Path
        The run's folder.
    launched : Launch or None
        None where it could not be started.

    Raises
    ------
    Stopped, ProjectError, SpecError, RunError, OSError
    """
    source, found = inspect(order, stop, steps)
    if found.errors:
        return found, Path(), None
    if stop():
        raise Stopped
    spec = order.spec(source)
    path = new_run(order.home, spec.name)
    RunFolder(path).create(spec)
    arguments = ["train", str(source), "--spec", str(path / "spec.json"), "--out", str(path)]
    return found, path, launch(arguments, path)


def resume(path: Path) -> Launch:
    """Start a process that goes on with a run.

    Raises
    ------
    RunError, OSError
        If it is no run, or the process can't be started.
    """
    _ = RunFolder(path).spec  # so that what is no run is refused here
    return launch(["train", "--resume", str(path)], path)


def samples(order: Order, stop: Stop, steps: Steps) -> npt.NDArray[np.uint8]:
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

    source, found = inspect(order, stop, steps)
    if found.errors:
        raise OSError(found.errors[0])
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


def list_names() -> dict[str, tuple[str, ...]]:
    """Return the names of all architectures and encoders.

    Another process asks for them: importing segmentation_models_pytorch here would hold napari.

    Raises
    ------
    OSError
        If that fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=False, timeout=180
    )
    try:
        found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise OSError("The names of networks can't be listed; type them.") from error
    return {field: tuple(names) for field, names in found.items()}


def _found(findings: Findings, spec: TrainingSpec) -> Found:
    lines = [line for line in findings.text.splitlines() if not _is_problem(line)]
    skipped = [p for p in findings.fatal if p.kind in _BROKEN and spec.corrupt == "skip"]
    errors = tuple(p.text for p in findings.stopping(spec.task) if p not in skipped)
    warnings = [f"{problem.text} It is left out." for problem in skipped]
    warnings += [problem.text for problem in findings.warnings]
    plan = "" if errors else _plan(spec, findings)
    return Found(tuple(lines), tuple(warnings), errors, plan)


def _is_problem(line: str) -> bool:
    return line.startswith(("Stops: ", "Note: "))


def _plan(spec: TrainingSpec, findings: Findings) -> str:
    """Return what would be trained, in a sentence."""
    spec = spec.completed(findings)
    what = "a click model" if spec.task == "click" else f"a {spec.task} model"
    start = {"scratch": "from scratch", "imagenet": "from ImageNet"}.get(
        spec.start, f"from {Path(spec.start).name}"
    )
    return (
        f"Will train {what} {start}: at most {spec.epochs} epochs of {spec.windows} windows of "
        f"{spec.size} × {spec.size} pixels, {spec.batch} at a time, {spec.augmentation} "
        "augmentation."
    )
