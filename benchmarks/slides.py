"""The memory that a slide takes while it is predicted whole (docs/performance.md).

    python benchmarks/slides.py --side 16384 [--objects] [--zoom Z] [--tiles N] [--folder F]

The slide is an OME-Zarr-like array of colours on disk, crowded with cells everywhere, so no window
is spared. With --tiles it ends after so many tiles, row by row, and only what they show is drawn.
The network has one layer: what is measured is all that is around a network. The peak is the
process's, torch and the network included. Started again with --folder, it goes on.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_clickseg.engine.segmenter import Segmenter

_CHUNK, _TILE = 512, 2048


def slide(path: Path, side: int, rows: int) -> Any:
    """Return an array (side, side, 3), uint8: a foreground and the distances in its cells."""
    import zarr

    from default_model.crowds import crowd
    from napari_clickseg.core.instances.distances import object_distances

    if path.exists():
        return zarr.open_array(str(path), mode="r")
    labels = crowd(0, _CHUNK, _CHUNK)
    channels = np.concatenate([(labels > 0)[None], object_distances(labels)])
    cells = np.uint8(255 * channels.transpose(1, 2, 0))
    out = zarr.create_array(
        str(path), shape=(side, side, 3), chunks=(_CHUNK, _CHUNK, 3), dtype="uint8"
    )
    rng = np.random.default_rng(0)
    for top in range(0, min(side, rows), _CHUNK):
        for left in range(0, side, _CHUNK):
            turned = np.rot90(cells, rng.integers(4))[: side - top, : side - left]
            out[top : top + _CHUNK, left : left + _CHUNK] = turned
    return out


def model(*, objects: bool, zoom: float) -> Segmenter:
    """Return a network of one layer, that says what it sees."""
    import torch
    from torch import nn

    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard, ObjectsSpec

    card = ModelCard(
        schema_version=2,
        name="slide",
        architecture="unet",
        encoder="none",
        encoding="image",
        automatic=True,
        image_channels=3,
        classes=("cell",) if objects else ("cell", "middle"),
        window={"size": 256, "zoom": zoom},  # type: ignore[arg-type]
        objects=ObjectsSpec(smallest=20, span=30) if objects else None,
    )
    layer = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        layer.weight.copy_(10 * torch.eye(3)[:, :, None, None])
        layer.bias.fill_(-5.0)
    return Segmenter(layer, card, device="cpu", half=False)


def main() -> None:
    """Predict once, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--objects", action="store_true")
    parser.add_argument("--zoom", type=float, default=1.0)
    parser.add_argument("--tiles", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        measure(args, args.folder or Path(made))


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Predict a slide in a folder."""
    from napari_clickseg.engine.finding import card_rules
    from napari_clickseg.engine.slides.whole_slide import SlideOrder, predict_slide
    from napari_clickseg.formats.annotated import AnnotatedImage

    across = -(-args.side // _TILE)
    rows = (-(-args.tiles // across) + 1) * _TILE if args.tiles else args.side
    image = slide(folder / f"slide-{args.side}-{rows}.zarr", args.side, rows)
    segmenter = model(objects=args.objects, zoom=args.zoom)
    out = folder / f"labels-{args.side}.zarr"
    rules = card_rules(segmenter.card) if args.objects else None
    order = SlideOrder("", segmenter.card.ids_of_classes, rules=rules)
    about = AnnotatedImage("slide", np.zeros((1, 1), np.uint8))
    begin, used, finished = time.perf_counter(), time.process_time(), 0

    def tell(done: int, total: int) -> None:
        nonlocal finished
        finished = done
        sys.stderr.write(f"\r{done} of {total}")

    summary = predict_slide(
        segmenter, image, out, order, about, rgb=True, anew=True, on_tile=tell,
        stop=lambda: 0 < args.tiles <= finished,
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    if summary is None:
        used = time.process_time() - used
        sys.stdout.write(f"\n{finished} tiles of {args.side}²: peak {peak:.2f} GiB, {used:.0f} s\n")
        return
    size = sum(one.stat().st_size for one in out.rglob("*") if one.is_file()) / 1024**2
    sys.stdout.write(
        f"\n{args.side}²: peak {peak:.2f} GiB, {time.perf_counter() - begin:.0f} s "
        f"({time.process_time() - used:.0f} s of the processor), {size:.0f} MiB written, "
        f"objects {summary.objects}, pixels {summary.pixels}\n"
    )


if __name__ == "__main__":
    main()
