"""Compare architectures and encoders of the click model: clicks against latency.

    python -m benchmarks.architectures TRAIN --measure DATASET... [--samples N] [--json F]

Each network learns from the same number of samples of the same pool, from scratch, by the default
model's own training; then objects of the data sets to measure on are clicked on. So few samples
don't make good models, but they show what learns quickly for its latency. Forward latencies are
measured in turns, best of many, so that a busy machine does not favour any. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from default_model.pool import Pool
from default_model.trainer import DefaultModelSpec, Stage, Trainer
from napari_clickseg.core.guidance import input_channels
from napari_clickseg.engine.devices import quick_dtype
from napari_clickseg.evaluation.noc import NocSpec
from napari_clickseg.evaluation.report import by_set, mean_figures
from napari_clickseg.evaluation.sweep import SegmenterFactory, list_tasks, sweep
from napari_clickseg.models.network import create

SMALL = {"decoder_channels": [128, 64, 48, 32, 16]}
PAIRS = (
    ("unet", "tu-resnet10t", SMALL),
    ("unet", "mobilenet_v2", SMALL),
    ("unet", "resnet18", SMALL),
    ("linknet", "mobilenet_v2", {}),
    ("fpn", "mobilenet_v2", {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}),
    ("segformer", "mit_b0", {"decoder_segmentation_channels": 128}),
)


def latencies(size: int, rounds: int) -> list[tuple[float, float]]:
    """Return the parameters in millions and the forward's milliseconds of each pair."""
    inputs = torch.rand(1, input_channels("likeness", 3), size, size)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    networks = []
    for architecture, encoder, options in PAIRS:
        network = create(
            architecture, encoder, channels=inputs.shape[1], classes=1, options=options
        )
        networks.append(network.eval().to(memory_format=torch.channels_last))
    best = [float("inf")] * len(networks)
    dtype = quick_dtype(torch.device("cpu"))
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
        for _ in range(rounds):
            for i, network in enumerate(networks):
                since = time.perf_counter()
                network(inputs)
                best[i] = min(best[i], time.perf_counter() - since)
    sizes = [sum(p.numel() for p in network.parameters()) / 1e6 for network in networks]
    return [(parameters, 1e3 * ms) for parameters, ms in zip(sizes, best, strict=True)]


def main() -> None:
    """Train each pair, measure, print."""
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
    measured = latencies(160, rounds=30)
    folders = sorted(p for p in args.train.iterdir() if (p / "index.csv").exists())
    pool = Pool(folders, generated=400, superpixel_images=200, shares=(0.1, 0.06, 0))
    tasks = list_tasks(args.measure, limit=args.limit)
    rows = []
    for (architecture, encoder, options), (parameters, ms) in zip(PAIRS, measured, strict=True):
        spec = DefaultModelSpec(
            architecture=architecture,
            encoder=encoder,
            options=options,
            samples=args.samples,
            stages=(Stage(size=args.size, batch=8, share=1.0),),
        )
        with tempfile.TemporaryDirectory() as name:
            since = time.perf_counter()
            Trainer(spec, pool, Path(name)).run()
            seconds = time.perf_counter() - since
            factory = SegmenterFactory(f"{name}/model.safetensors", "cpu", args.threads)
            noc = NocSpec(clicks=args.clicks, objects=1)
            mean = mean_figures(by_set(sweep(factory, tasks, noc, workers=1, scheduler="sync")))
        rows.append(
            {
                "network": f"{architecture} {encoder}",
                "parameters": round(parameters, 1),
                "forward_ms": round(ms, 1),
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
