"""What is measured after a training: size, speed, and the test images."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.comparing.spec import ComparisonError
from napari_clickseg.core.guidance import input_channels
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.sets.dataset import Dataset
from napari_clickseg.engine.devices import choose_device
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.training.tables import read_table

if TYPE_CHECKING:
    from torch import nn

    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.run_folder import RunFolder
    from napari_clickseg.training.spec import TrainingSpec

_WARM, _TIMED = 3, 15  # forward passes


def measure(folder: ComparisonFolder, name: str) -> None:
    """Count a trained network's parameters and measure it on the test images; keep the figures.

    Parameters
    ----------
    name : str
        Of the training, which has ended.

    Raises
    ------
    ComparisonError
        If it was not validated on the comparison's images.
    """
    from napari_clickseg.models.checkpoint import load_network

    run = folder.run(name)
    check_images(folder, run)
    network, card = load_network(run.model)
    values: dict[str, Any] = {
        "parameters": sum(one.numel() for one in network.parameters()),
        "test": _on_test(folder, run.spec, network, card),
    }
    folder.write(folder.measured_path(name), json.dumps(values, indent=2) + "\n")


def measure_latency(folder: ComparisonFolder, name: str) -> None:
    """Time a trained network's answer to a single window; nothing else should run meanwhile."""
    measured = folder.measured(name)
    if "latency_ms" in measured:
        return
    import torch

    spec = folder.run(name).spec
    segmenter = load_segmenter(folder.run(name).model, spec.device, half=spec.amp)
    card = segmenter.card
    shape = (input_channels(card.encoding, card.image_channels), card.window.size, card.window.size)
    window = np.random.default_rng(0).random(shape, np.float32)
    seconds = []
    for _ in range(_WARM + _TIMED):
        since = time.perf_counter()
        segmenter.forward(window)
        seconds.append(time.perf_counter() - since)
    measured |= {
        "latency_ms": 1000 * median(seconds[_WARM:]),
        "latency_of": {
            "device": str(segmenter.device),
            "threads": torch.get_num_threads(),
            "size": card.window.size,
            "half": segmenter.half,
        },
    }
    folder.write(folder.measured_path(name), json.dumps(measured, indent=2) + "\n")


def check_images(folder: ComparisonFolder, run: RunFolder) -> None:
    """See that a training learned from, and was validated on, the comparison's images.

    Raises
    ------
    ComparisonError
        If it was not.
    """
    folder.check_split()
    sets = folder.split()
    started = [event for event in run.events()[0] if event["event"] == "started"]
    counts = {(event["training"], event["validation"]) for event in started}
    shown = {row["image"] for row in read_table(run.path / "images.csv")}
    wanted = set(sets["validation"])
    whole = shown == wanted or (run.spec.task == "click" and shown <= wanted)  # it takes some
    if counts != {(len(sets["training"]), len(sets["validation"]))} or not whole:
        raise ComparisonError(
            f"{run.path} was trained or validated on other images than the rest; delete that "
            "folder, and go on (--resume)."
        )


def _on_test(
    folder: ComparisonFolder, spec: TrainingSpec, network: nn.Module, card: ModelCard
) -> dict[str, float] | None:
    """Return the figures on the test images; None where there are none."""
    from napari_clickseg.training.finetune import make_work
    from napari_clickseg.training.prepare import prepare, project_for

    project = project_for(spec.changed(project=str(folder.split_folder / INDEX)))
    records = [record for record in project.records if record.split == "test"]
    if not records:
        return None
    device = choose_device(spec.device)
    images, prepared = Dataset(records, spec.cache_mib), prepare(spec)
    # A click model's work needs objects to learn from; the other kind only looks at them.
    training = prepared.training if spec.task == "click" else images
    work = make_work(replace(prepared, training=training, validation=images), card, device)
    return dict(work.measure(network.to(device)).metrics)
