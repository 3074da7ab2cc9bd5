"""How much sooner two workers have predicted the rest of a project than one (docs/performance.md).

    OMP_NUM_THREADS=1 python benchmarks/two_workers.py --cores 0 1 [--images 56] [--cluster]

A new project of generated images without masks is predicted by `clickseg predict --rest`: by one
process, by two at the same time with a share each, and, with --cluster, by a dask cluster of two
workers on this computer. All times are by the clock, from the start of the processes to the end of
the last one, loading torch and the model included; a first image, which is not counted, brings
files into the system's memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from default_model.crowds import crowd, rendered
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Iterator


_TILE = 256  # pixels


def main() -> None:
    """Predict the same project by one and by two, and say how much sooner that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=56)
    parser.add_argument("--side", type=int, default=768)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--cores", type=int, nargs=2, metavar="N", help="by taskset, of Linux")
    parser.add_argument("--cluster", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        project = Path(made) / "project"
        fill(project, args.images, args.side)
        predict(args, project, [["--limit", "1"]])
        one = predict(args, project, [["--shard", "1/1"]])
        say(f"one worker: {one:.1f} s for {args.images} images of {args.side}²")
        two = predict(args, project, [["--shard", "1/2"], ["--shard", "2/2"]])
        say(f"two workers, a share each: {two:.1f} s, {one / two:.2f} times as fast")
        if args.cluster:
            with cluster(args.cores) as address:
                both = predict(args, project, [["--scheduler", address]])
            say(f"two workers of a cluster: {both:.1f} s, {one / both:.2f} times as fast")


def fill(project: Path, images: int, side: int) -> None:
    """Make a project of pictures of cells, none of which is annotated."""
    writer, again = ProjectWriter(project), -(-side // _TILE)
    for number in range(images):
        part = rendered(crowd(number, _TILE, 120), np.random.default_rng(number))
        writer.add(f"{number:04d}", np.tile(part, (again, again))[:side, :side])


def predict(args: argparse.Namespace, project: Path, shares: list[list[str]]) -> float:
    """Predict all anew, by a process for each share; return the seconds until the last one ends."""
    shutil.rmtree(project / "predictions", ignore_errors=True)
    verb = [sys.executable, "-m", "napari_clickseg.cli", "predict", str(project), "--rest"]
    begin = time.perf_counter()
    workers = [
        subprocess.Popen(
            [*pinned(args.cores, n), *verb, "--model", args.model, *share],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n, share in enumerate(shares)
    ]
    for worker in workers:
        _, said = worker.communicate()
        if worker.returncode:
            sys.exit(said)
    seconds = time.perf_counter() - begin
    predicted = len(ReviewQueue(project).waiting())
    if "--limit" not in shares[0] and predicted != args.images:
        sys.exit(f"{predicted} of {args.images} images were predicted.")
    return seconds


def pinned(cores: list[int] | None, number: int) -> list[str]:
    """Return what keeps a process on its core."""
    return ["taskset", "-c", str(cores[number])] if cores else []


@contextmanager
def cluster(cores: list[int] | None) -> Iterator[str]:
    """Run two workers of dask, each a process; yield the scheduler's address."""
    from distributed import LocalCluster

    if cores:
        os.sched_setaffinity(0, cores)  # which the workers inherit
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_port=0
    ) as running:
        yield running.scheduler_address


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
