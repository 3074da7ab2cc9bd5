"""What exports take: 10,000 objects in a mask of 4,096 × 4,096 pixels (docs/formats.md).

    python benchmarks/formats.py [--objects N] [--size N] [FORMAT …]

Memory is what a process of its own takes beyond what it took with the mask alone, in units of the
mask (two bytes a pixel).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = ("coco", "geojson", "roi", "labelme", "yolo", "omezarr", "cellpose")


def disks(size: int, objects: int) -> np.ndarray[Any, Any]:
    """Return as many disks as asked for on a grid, each moved a little; uint16 or uint32."""
    rng = np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(objects)))
    step = size / across
    radius = 0.44 * step
    labels = np.zeros((size, size), np.uint16 if objects < 1 << 16 else np.uint32)
    for number in range(objects):
        row, column = divmod(number, across)
        y, x = (np.array([row, column]) + 0.5 + rng.uniform(-0.05, 0.05, 2)) * step
        top, left = (max(0, int(at - step / 2)) for at in (y, x))
        part = labels[top : top + int(step) + 2, left : left + int(step) + 2]
        yy, xx = np.ogrid[: part.shape[0], : part.shape[1]]
        part[(yy + top - y) ** 2 + (xx + left - x) ** 2 < radius**2] = number + 1
    return labels


def measured(size: int, objects: int, to: str, out: str) -> None:
    """Export once, and say what it took; runs in a process of its own."""
    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.exporting import ExportSource, export

    labels = disks(size, objects)
    image = AnnotatedImage("a", labels)
    import shapely  # noqa: F401 - and all else that is loaded once
    import tifffile  # noqa: F401
    import zarr  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    export([ExportSource("a", lambda: image)], to, Path(out))
    took = time.process_time() - begin
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    path = Path(out)
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    written = sum(one.stat().st_size for one in files)
    print(
        f"{to:10} {took:6.1f} s   {(more + labels.nbytes) / labels.nbytes:4.1f} masks   "
        f"{written / 1e6:6.1f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=FORMATS)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4096)
    args = parser.parse_args()
    for to in args.formats:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/a{'.json' if to == 'coco' else ''}"
            spawn = multiprocessing.get_context("spawn")
            process = spawn.Process(target=measured, args=(args.size, args.objects, to, out))
            process.start()
            process.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
