"""Fine-tuning from beginning to end: prepare, train, measure what it was good for, report.

This lies above training and evaluation, which know nothing of each other.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.engine.devices import choose_device
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.runs.conduct import conducted
from napari_clickseg.training.before_after import did_it_help
from napari_clickseg.training.defaults import large_span
from napari_clickseg.training.prepare import Prepared, prepare
from napari_clickseg.training.run_folder import RunError, RunFolder
from napari_clickseg.training.verdict import judged, keep_verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import torch

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.loop.loop import Outcome
    from napari_clickseg.training.loop.work import Work
    from napari_clickseg.training.spec import TrainingSpec
    from napari_clickseg.training.start import Start

__all__ = ["did_it_help", "finetune", "make_start", "make_work", "resume", "sample_sheet"]


def finetune(
    spec: TrainingSpec,
    folder: os.PathLike[str] | str,
    *,
    on_event: Callable[[dict[str, Any]], object] | None = None,
    compare: bool = True,
) -> Outcome:
    """Train a model on a project.

    Parameters
    ----------
    spec : TrainingSpec
        What is left open is chosen from the data.
    folder : path
        The run's, which must not hold one yet; the model is `best.safetensors` in it.
    on_event : callable, optional
        Is told each event as it is written.
    compare : bool
        Measure at the end what the training was good for, see `did_it_help`.

    Raises
    ------
    ValueError, OSError
        If something is wrong that the user can mend: the message says what, in one line. It is
        in the run's events as well.
    """
    run = RunFolder(Path(folder))
    run.create(spec)
    return _carry_out(spec, run, on_event, resumed=False, compare=compare)


def resume(
    folder: os.PathLike[str] | str,
    *,
    on_event: Callable[[dict[str, Any]], object] | None = None,
    compare: bool = True,
    alone: bool = False,
) -> Outcome:
    """Go on with a run that was stopped or killed, to the same result as if it never had been.

    It learns from the images that it began with, whatever was annotated since.

    Parameters
    ----------
    on_event : callable, optional
        Is told each event as it is written.
    compare : bool
        As for `finetune`.
    alone : bool
        The caller knows that no other process is at it.

    Raises
    ------
    RunError
        If there is no run, or it goes on in another process.
    ValueError, OSError
        As `finetune`.
    """
    run = RunFolder(Path(folder))
    spec = run.spec
    if run.state == "running" and not alone:
        raise RunError(f"The run in {run.path} is going on; stop it first.")
    return _carry_out(spec, run, on_event, resumed=True, compare=compare)


def _carry_out(
    spec: TrainingSpec,
    run: RunFolder,
    on_event: Callable[[dict[str, Any]], object] | None,
    *,
    resumed: bool,
    compare: bool,
) -> Outcome:
    with conducted(run, on_event) as stop:
        return _train(spec, run, stop, resumed=resumed, compare=compare)


def _train(
    spec: TrainingSpec, run: RunFolder, stop: Callable[[], bool], *, resumed: bool, compare: bool
) -> Outcome:
    from napari_clickseg.training.loop.loop import Loop

    keep_triton_out()
    device = choose_device(spec.device)
    began = run.sets if resumed else None
    prepared = prepare(spec, began=began)
    spec = prepared.spec
    run.write_spec(spec)
    if began is None:
        run.keep_sets(prepared.sets)
    run.begin(
        epochs=spec.epochs,
        training=len(prepared.training),
        validation=len(prepared.validation),
        device=str(device),
        resumed=resumed,
    )
    for text in () if resumed else prepared.warnings:
        run.add("message", level="warning", text=text)
    start = make_start(prepared, lambda text: run.add("message", level="warning", text=text))
    network = start.network.to(device).to(memory_format=_channels_last())
    work = make_work(prepared, start.card, device)
    loop = Loop(
        spec, run, work, network, start.card, trained_encoder=start.trained_encoder, stop=stop
    )
    if resumed:
        loop.resume()
    outcome = loop.run()
    if compare and outcome.reason != "stopped":
        run.add("measuring")
        helped = did_it_help(prepared, start.before, run, device=str(device), stop=stop)
        verdict = judged(helped.measured)
        keep_verdict(run.model, verdict)
        run.add("help", table=helped.table, **asdict(verdict))
    _report(run, start.card)
    run.add("finished", reason=outcome.reason, best_epoch=outcome.best_epoch, model=run.model.name)
    return outcome


def _report(run: RunFolder, card: ModelCard) -> None:
    from napari_clickseg.training.report import write_report

    write_report(run, card.classes)


def _channels_last() -> torch.memory_format:
    import torch

    return torch.channels_last


def make_start(prepared: Prepared, warn: Callable[[str], object] = lambda _: None) -> Start:
    """Build the network that a training begins with; see `training.start.start_network`."""
    from napari_clickseg.training.start import start_network

    return start_network(
        prepared.spec,
        prepared.classes,
        zoom=prepared.zoom,
        span=large_span(prepared.findings),
        images=len(prepared.training),
        warn=warn,
    )


def make_work(prepared: Prepared, card: ModelCard, device: torch.device) -> Work:
    """Make what the loop asks of the task."""
    from napari_clickseg.training.classes.task import SemanticWork
    from napari_clickseg.training.clicks.task import ClickWork
    from napari_clickseg.training.instances.task import InstanceWork

    spec, classes = prepared.spec, prepared.classes
    if spec.task == "click":
        return ClickWork(spec, card, prepared.training, prepared.validation, classes, device)
    if spec.task == "instances":
        return InstanceWork(spec, card, prepared.training, prepared.validation, classes)
    return SemanticWork(spec, card, prepared.training, prepared.validation, classes)


def sample_sheet(spec: TrainingSpec, count: int = 16) -> npt.NDArray[np.uint8]:
    """Draw windows as they will be learned from, with their masks, side by side.

    Parameters
    ----------
    spec : TrainingSpec
        What is left open is chosen from the data.
    count : int
        Windows.

    Returns
    -------
    uint8 (H, W, 3)
    """
    import torch

    from napari_clickseg.training.classes.augment import sheet

    prepared = prepare(spec)
    start = make_start(prepared)
    work = make_work(prepared, start.card, torch.device("cpu"))
    return sheet(work.first_windows(count))
