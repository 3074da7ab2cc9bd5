"""Click on the objects of whole sets of images: in parallel, and so that it can be stopped.

Each finished image is appended to a file of JSON lines; a sweep that is started again with the
same file goes on where it stopped. dask's local schedulers run the images.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import IO, TYPE_CHECKING, Any, Literal

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_records
from napari_clickseg.evaluation.noc import ClickPredictor, NocSpec, ObjectResult, evaluate_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter

Scheduler = Literal["threads", "processes", "sync"]
_SCHEMA = 1
_LOADING = threading.Lock()


class SweepError(ValueError):
    """A sweep that can't be gone on with; the message says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """An image to evaluate.

    Parameters
    ----------
    dataset : str
        Name of its set.
    """

    dataset: str
    record: Record

    @property
    def key(self) -> str:
        """What tells it from all others of a sweep."""
        return f"{self.dataset}/{self.record.name}"


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What an image gave.

    Parameters
    ----------
    dataset, image : str
        Name of the set, and of the image in it.
    problem : str
        Why the image could not be used, in a line; it has no objects then.
    """

    dataset: str
    image: str
    objects: tuple[ObjectResult, ...]
    problem: str = ""

    @property
    def key(self) -> str:
        """As `Task.key`."""
        return f"{self.dataset}/{self.image}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as values that JSON knows."""
        objects = [result.to_json() for result in self.objects]
        return {"dataset": self.dataset, "image": self.image, "objects": objects}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ImageResult:
        """Read what `to_json` gave."""
        objects = tuple(ObjectResult.from_json(o) for o in raw["objects"])
        return cls(raw["dataset"], raw["image"], objects)


@dataclass(frozen=True, slots=True)
class SegmenterFactory:
    """Loads a model of ours where the work is done, once for each thread or process.

    Parameters
    ----------
    model : str
        Name or path.
    threads : int
        Processor threads for one prediction; 0 leaves them as they are.
    """

    model: str = "default"
    device: str = "auto"
    threads: int = 0

    def __call__(self) -> ClickPredictor:
        """Return the segmenter."""
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)
        with _LOADING:
            return _loaded(self)

    def running(self) -> dict[str, str]:
        """Say on which device the model runs, and in which precision, for a report.

        Where this process has run it, as it ran then.
        """
        from napari_clickseg.engine.devices import quick_dtype

        with _LOADING:
            segmenter = _loaded(self)
        quick = quick_dtype(segmenter.device) if segmenter.half else None
        precision = "float32" if quick is None else str(quick).removeprefix("torch.")
        return {"device": str(segmenter.device), "precision": precision}


@lru_cache(maxsize=1)
def _loaded(factory: SegmenterFactory) -> Segmenter:
    from napari_clickseg.engine.segmenter import load_segmenter

    return load_segmenter(factory.model, factory.device)


def list_tasks(folders: Sequence[Path], *, limit: int = 0) -> list[Task]:
    """List the images of several project folders.

    Parameters
    ----------
    folders : sequence of Path
        Each is a set; its name is the folder's.
    limit : int
        The most images of a set, its first ones; 0 takes all.

    Raises
    ------
    ProjectError
        If a folder is no project.
    SweepError
        If two sets have the same name.
    """
    names = [folder.resolve().name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SweepError(f"Two sets have the same name: {', '.join(twice)}.")
    return [
        Task(name, record)
        for name, folder in zip(names, folders, strict=True)
        for record in read_records(folder)[: limit or None]
    ]


def evaluate_task(
    make_predictor: Callable[[], ClickPredictor], task: Task, spec: NocSpec
) -> ImageResult:
    """Evaluate one image; runs on a worker thread or in a process of its own.

    An image that can't be used is named in the result: it ends nothing but itself.
    """
    predictor = make_predictor()
    try:
        plane = read_single_plane(task.record.image)
        truth = read_labels(task.record.mask)
        image = plane.read_all()  # the seconds are the clicks' and not the disk's
        results = evaluate_image(predictor, image, truth, spec, task.key, rgb=plane.rgb)
    except ImageError as error:
        return ImageResult(task.dataset, task.record.name, (), str(error))
    except ValueError as error:
        return ImageResult(task.dataset, task.record.name, (), f"{task.record.image}: {error}")
    return ImageResult(task.dataset, task.record.name, tuple(results))


def sweep(
    make_predictor: Callable[[], ClickPredictor],
    tasks: Sequence[Task],
    spec: NocSpec,
    *,
    resume: Path | None = None,
    label: str = "",
    scheduler: Scheduler = "threads",
    workers: int = 1,
    on_result: Callable[[ImageResult], object] = lambda result: None,
) -> list[ImageResult]:
    """Evaluate images, in parallel.

    Parameters
    ----------
    make_predictor : callable
        Returns the method; called on the worker, so it can be sent to a process. A method that
        is shared between threads must bear it, as `Segmenter` does.
    spec : NocSpec
        Which objects, and how they are clicked on.
    resume : Path, optional
        File of JSON lines: what is in it is not done again, what is done is appended.
    label : str
        Says which method and model it is: a file of another one is not gone on with.
    scheduler : {"threads", "processes", "sync"}
        dask's.
    workers : int
        Images at the same time.
    on_result : callable
        Called in the caller's thread with each result, those of the file first.

    Returns
    -------
    list of ImageResult
        In the order of `tasks`; those that could not be used say why.

    Raises
    ------
    SweepError
        If the file belongs to another sweep.
    """
    wanted = {task.key: task for task in tasks}
    header = {"schema": _SCHEMA, "label": label, "spec": asdict(spec)}
    done = {} if resume is None else _read(resume, header)
    done = {key: result for key, result in done.items() if key in wanted}
    for result in done.values():
        on_result(result)
    jobs = {
        key: partial(evaluate_task, make_predictor, task, spec)
        for key, task in wanted.items()
        if key not in done
    }
    with _Journal(resume, header) as journal:

        def finished(result: ImageResult) -> None:
            done[result.key] = result
            if not result.problem:  # else it is tried again when the sweep goes on
                journal.add(result)
            on_result(result)

        _compute(jobs, finished, scheduler, workers)
    return [done[key] for key in wanted]


def _compute(
    jobs: Mapping[str, Callable[[], ImageResult]],
    finished: Callable[[ImageResult], None],
    scheduler: Scheduler,
    workers: int,
) -> None:
    """Run the jobs; `finished` is called in this thread as each result comes."""
    from dask.base import compute
    from dask.callbacks import Callback
    from dask.delayed import delayed

    if not jobs:
        return

    def posttask(key: object, value: object, *_: object) -> None:
        if isinstance(value, ImageResult):
            finished(value)

    graph = [delayed(job, pure=False)(dask_key_name=key) for key, job in jobs.items()]
    with Callback(posttask=posttask):  # type: ignore[no-untyped-call]
        compute(  # type: ignore[no-untyped-call]
            *graph, scheduler=scheduler, num_workers=workers, optimize_graph=False
        )


class _Journal:
    """The file of JSON lines: a header, then a line for each finished image."""

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self._path, self._header = path, header
        self._file: IO[str] | None = None

    def __enter__(self) -> _Journal:
        if self._path is not None:
            fresh = not self._path.exists() or self._path.stat().st_size == 0
            self._file = self._path.open("a", encoding="utf-8")
            if fresh:
                self._write(self._header)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, result: ImageResult) -> None:
        """Keep a result; it is on disk when this returns."""
        self._write(result.to_json())

    def _write(self, value: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()


def _read(path: Path, header: Mapping[str, Any]) -> dict[str, ImageResult]:
    """Read the results of an earlier sweep; a line that was cut off is taken away."""
    if not path.exists() or path.stat().st_size == 0:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        lines = [json.loads(line) for line in whole.splitlines()]
        before = dict(lines[0])
        results = [ImageResult.from_json(raw) for raw in lines[1:]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SweepError(f"{path} holds no results of an evaluation; give another file.") from error
    keys = before.keys() | header.keys()
    differing = sorted(key for key in keys if before.get(key) != header.get(key))
    if differing:
        raise SweepError(
            f"{path} belongs to another evaluation (its {', '.join(differing)} differs); give "
            "another file, or the same settings."
        )
    if whole != text:
        with path.open("r+b") as file:
            file.truncate(len(whole.encode()))
    return {result.key: result for result in results}
