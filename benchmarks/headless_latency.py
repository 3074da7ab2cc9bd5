"""Click to prediction without a window, for images from 512² to 30,000².

    python benchmarks/headless_latency.py [--sides 512 4096 30000] [--objects 12] [--clicks 5]

Clicks are placed by the simulated annotator on generated objects all over the image; each goes
through `Session.click` and `Session.predict`, as a click in napari does. Images up to 4,096² are
numpy arrays, larger ones a Zarr in a temporary folder, read lazily. Each image has a process of
its own, so that its peak of memory is its own. Prints a Markdown table:
also how many ms the network takes for a window that it sees for the first time, and for one of
which it kept what its encoder made.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TILE = 128  # pixels; every tile holds one object
CHUNK = 512
IN_MEMORY = 4096
KINDS = 16  # different tiles


def make_tile(kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a tile (uint8) with one textured, wavy object, and the object's mask."""
    rng = np.random.default_rng(kind)
    y, x = np.mgrid[:TILE, :TILE].astype(np.float32)
    centre = TILE / 2 + rng.uniform(-10, 10, 2)
    angle = np.arctan2(y - centre[0], x - centre[1])
    wave = sum(rng.uniform(0, 0.12) * np.sin(k * angle + rng.uniform(0, 6)) for k in (2, 3, 5))
    radius = rng.uniform(12, 42) * (1 + wave)
    mask = np.hypot(y - centre[0], x - centre[1]) < radius
    waves = np.sin(y / rng.uniform(4, 20)) * np.cos(x / rng.uniform(4, 20))
    image = 90 + 15 * waves + np.where(mask, rng.choice([-50, 60]), 0)
    image += rng.normal(0, 10, image.shape)
    return image.clip(0, 255).astype(np.uint8), mask


def kind_at(row: int, column: int) -> int:
    """Which kind of tile lies where."""
    return (7 * row + 3 * column) % KINDS


def make_image(side: int, folder: Path) -> object:
    """Generate an image: numpy, or a Zarr that is written tile by tile."""
    import zarr

    tiles = [make_tile(kind)[0] for kind in range(KINDS)]
    if side <= IN_MEMORY:
        image = np.empty((side, side), np.uint8)
    else:
        image = zarr.create_array(
            folder / "image.zarr", shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint8"
        )
    # Kinds repeat every 16 tiles, so 16 rows of tiles are all there is.
    strip = np.block(
        [[tiles[kind_at(row, column)] for column in range(KINDS)] for row in range(KINDS)]
    )
    strip = np.tile(strip, (1, math.ceil(side / strip.shape[1])))[:, :side]
    for top in range(0, side, strip.shape[0]):
        height = min(strip.shape[0], side - top)
        image[top : top + height] = strip[:height]
    return image


def memory(key: str) -> float:
    """Return VmRSS or VmHWM (the peak) of this process in MB; NaN where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def forget_peak() -> None:
    """Let the peak of memory begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("The peak of memory is that of the whole process.", file=sys.stderr)


def measure(side: int, objects: int, clicks: int, model: str, folder: Path) -> dict[str, float]:
    """Measure one size; runs in a process of its own."""
    import napari_clickseg as clickseg
    from napari_clickseg.core.oracle import next_click
    from napari_clickseg.core.window import Box

    segmenter = clickseg.load_segmenter(model, device="cpu")
    look, spent, size = segmenter.look, [], segmenter.card.window.size
    fresh, again = [], []

    def timed(inputs: np.ndarray, sight: Any) -> Any:
        known = sight.features is not None
        since = time.perf_counter()
        out = look(inputs, sight)
        spent.append(time.perf_counter() - since)
        if inputs.shape[-1] == size:  # not the smaller windows of a first click
            (again if known else fresh).append(spent[-1])
        return out

    segmenter.look = timed
    warm = segmenter.start(make_tile(0)[0])
    warm.click(TILE / 2, TILE / 2)
    warm.predict()

    if side > IN_MEMORY:
        import zarr

        image = zarr.open(folder / "image.zarr", mode="r")
    else:
        image = np.load(folder / "image.npy")
    forget_peak()
    before = memory("VmRSS")
    session = segmenter.start(image)
    rng = np.random.default_rng(0)
    whole = side // TILE
    seconds, network, looks, first = [], [], [], math.nan
    for place in rng.choice(whole**2, min(objects, whole**2), replace=False):
        row, column = divmod(int(place), whole)
        box = Box(row * TILE, column * TILE, TILE, TILE)
        truth, done = make_tile(kind_at(row, column))[1], []
        mask = np.zeros_like(truth)
        session.start_from(None)
        for _ in range(clicks):
            click = next_click(mask, truth, done)
            if click is None:
                break
            done.append(click)
            spent.clear()
            since = time.perf_counter()
            session.click(click.y + box.top, click.x + box.left, click.positive)
            prediction = session.predict()
            seconds.append(time.perf_counter() - since)
            network.append(sum(spent))
            looks.append(len(spent))
            mask = prediction.patch.cut(box)
        first = seconds[0] if math.isnan(first) else first
    ordered = sorted(seconds[1:])  # the very first one measures the image's intensities too
    return {
        "side": side,
        "clicks": len(ordered),
        "median": statistics.median(ordered),
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "first": first,
        "network": sum(network[1:]) / sum(ordered),
        "forward": sum(network) / sum(looks),
        "looks": sum(looks) / len(looks),
        "fresh": statistics.median(fresh or [math.nan]),
        "again": statistics.median(again or [math.nan]),
        "known": len(again) / max(1, len(again) + len(fresh)),
        "memory": memory("VmHWM") - before,
    }


def in_own_process(side: int, args: argparse.Namespace) -> dict[str, float]:
    """Generate the image here, measure it in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        image = make_image(side, Path(name))
        if side <= IN_MEMORY:
            np.save(Path(name) / "image.npy", image)
        command = [sys.executable, __file__, "--folder", name, "--sides", str(side)]
        command += ["--objects", str(args.objects), "--clicks", str(args.clicks)]
        command += ["--model", args.model]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 4096, 30_000])
    parser.add_argument("--objects", type=int, default=12, help="to click on, in each image")
    parser.add_argument("--clicks", type=int, default=5, help="on each object, at most")
    parser.add_argument("--model", default="default")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        print(
            json.dumps(measure(args.sides[0], args.objects, args.clicks, args.model, args.folder))
        )
        return
    import torch

    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
    print(
        "| image | clicks | median ms | p95 ms | first ms | network | ms a look | looks a click "
        "| window anew | seen before | share seen before | MB above the model |\n"
        f"|---|{'--:|' * 11}"
    )
    for side in args.sides:
        times = in_own_process(side, args)
        kind = "numpy" if side <= IN_MEMORY else "lazy Zarr"
        print(
            f"| {side:,}² {kind} | {times['clicks']} | {1e3 * times['median']:.0f} "
            f"| {1e3 * times['p95']:.0f} | {1e3 * times['first']:.0f} | {times['network']:.0%} "
            f"| {1e3 * times['forward']:.0f} | {times['looks']:.1f} "
            f"| {1e3 * times['fresh']:.0f} | {1e3 * times['again']:.0f} | {times['known']:.0%} "
            f"| {times['memory']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
