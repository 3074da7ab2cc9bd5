"""Compare architectures, encoders and forms of the click model: clicks against latency.

    python -m benchmarks.architectures TRAIN --measure DATASET... [--samples N] [--json F]

Each network learns from the same number of samples of the same pool, by the default model's own
training, with an encoder that has ImageNet's weights and keeps them, as in its first stage, or from
scratch; then objects of the data sets to measure on are clicked on. So few samples don't make good
models, but they show what learns quickly for its latency. Latencies are measured in turns, best of
many, so that a busy machine does not favour any: of a whole forward, and of a later look in a
window that the encoder has seen. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from default_model.pool import Pool
from default_model.trainer import DefaultModelSpec, Stage, Trainer, untrained
from napari_clickseg.core.guidance import input_channels
from napari_clickseg.engine.devices import quick_dtype
from napari_clickseg.evaluation.noc import NocSpec
from napari_clickseg.evaluation.report import by_set, mean_figures
from napari_clickseg.evaluation.sweep import SegmenterFactory, list_tasks, sweep
from napari_clickseg.models.guided import GuidedNetwork
from napari_clickseg.models.network import build_network

SMALL = {"decoder_channels": [128, 64, 48, 32, 16]}
LITE = {"encoder_weights": "imagenet", "encoder_rate": 0.2}
BESIDE = {"fusion": "beside", "guidance_widths": (8, 16, 32, 64, 96, 128)}
PYRAMID = {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}
NETWORKS: dict[str, dict[str, Any]] = {
    "unet lite2, beside (bundled)": {"encoder": "tu-tf_efficientnet_lite2", **LITE, **BESIDE},
    "unet lite2, beside, from scratch": {"encoder": "tu-tf_efficientnet_lite2", **BESIDE},
    "unet lite2, through the encoder": {"encoder": "tu-tf_efficientnet_lite2", **LITE},
    "unet lite0, beside": {"encoder": "tu-tf_efficientnet_lite0", **LITE, **BESIDE},
    "linknet lite2, beside": {
        "architecture": "linknet", "encoder": "tu-tf_efficientnet_lite2", "options": {},
        **LITE, **BESIDE,
    },
    "fpn lite2, beside": {
        "architecture": "fpn", "encoder": "tu-tf_efficientnet_lite2", "options": PYRAMID,
        **LITE, **BESIDE,
    },
    "unet resnet18, beside, from scratch": {"encoder": "resnet18", **BESIDE},
    "unet resnet10t, through the encoder, from scratch": {"encoder": "tu-resnet10t"},
}  # fmt: skip


def spec_of(fields: dict[str, Any], samples: int, size: int) -> DefaultModelSpec:
    """Return the training of a network."""
    known = {"options": SMALL, "encoding": "prompts", "samples": samples}
    frozen = "encoder_weights" in fields  # as the default model's first stage
    stages = (Stage(size=size, batch=8, share=1.0, frozen=frozen),)
    return DefaultModelSpec.model_validate(known | fields | {"stages": stages})


def latencies(size: int, rounds: int) -> list[tuple[float, float, float]]:
    """Return millions of parameters, and the milliseconds of a first look and of a later one."""
    inputs = torch.rand(1, input_channels("prompts", 3), size, size)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    looks = []
    sizes = []
    for fields in NETWORKS.values():
        network = build_network(untrained(spec_of(fields, 1, size)))
        network = network.eval().to(memory_format=torch.channels_last)
        sizes.append(sum(p.numel() for p in network.parameters()) / 1e6)
        looks.append(Looks(network, inputs))
    best = [[float("inf")] * 2 for _ in looks]
    dtype = quick_dtype(inputs.device)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
        for _ in range(rounds):
            for known, look in zip(best, looks, strict=True):
                for k, once in enumerate((look.first, look.later)):
                    since = time.perf_counter()
                    once()
                    known[k] = min(known[k], time.perf_counter() - since)
    return [(n, 1e3 * first, 1e3 * later) for n, (first, later) in zip(sizes, best, strict=True)]


class Looks:
    """A network that looks at one window."""

    def __init__(self, network: torch.nn.Module, inputs: torch.Tensor) -> None:
        self.network, self.inputs = network, inputs
        self.features: list[torch.Tensor] = []

    def first(self) -> None:
        """Look at a window for the first time."""
        if isinstance(self.network, GuidedNetwork):
            self.features = self.network.features(self.inputs[:, : self.network.image_channels])
        self.later()

    def later(self) -> None:
        """Look at it again; the encoder's features are known, if they don't depend on clicks."""
        if isinstance(self.network, GuidedNetwork):
            self.network.answer(self.features, self.inputs)
        else:
            self.network(self.inputs)


def main() -> None:
    """Train each network, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="folder of project folders to learn from")
    parser.add_argument("--measure", type=Path, nargs="+", required=True, metavar="DATASET")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--size", type=int, default=96, help="pixels of the window in training")
    parser.add_argument("--limit", type=int, default=4, help="images of each data set")
    parser.add_argument("--clicks", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measured = latencies(224, rounds=30)
    folders = sorted(p for p in args.train.iterdir() if (p / "index.csv").exists())
    pool = Pool(folders, generated=400, superpixel_images=200, shares=(0.1, 0.06, 0))
    tasks = list_tasks(args.measure, limit=args.limit)
    rows = []
    for (network, fields), (parameters, first, later) in zip(
        NETWORKS.items(), measured, strict=True
    ):
        spec = spec_of(fields, args.samples, args.size)
        with tempfile.TemporaryDirectory() as name:
            since = time.perf_counter()
            Trainer(spec, pool, Path(name)).run()
            seconds = time.perf_counter() - since
            factory = SegmenterFactory(f"{name}/model.safetensors", "cpu", args.threads)
            noc = NocSpec(clicks=args.clicks, objects=1)
            mean = mean_figures(by_set(sweep(factory, tasks, noc, workers=1, scheduler="sync")))
        rows.append(
            {
                "network": network,
                "parameters": round(parameters, 1),
                "first_look_ms": round(first, 1),
                "later_look_ms": round(later, 1),
                "samples_per_second": round(args.samples / seconds, 1),
                "noc80": round(mean.noc[80], 2),
                "noc85": round(mean.noc[85], 2),
                "iou1": round(mean.iou[0], 3),
                "iou5": round(mean.iou[min(5, len(mean.iou)) - 1], 3),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" + "--:|" * (len(rows[0]) - 1))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
