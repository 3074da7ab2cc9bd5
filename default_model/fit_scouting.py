"""Fit how a model chooses its first look.

``python -m default_model.fit_scouting DATA MODEL --out M2``, from the top of the repository;
DATA is the folder of project folders that the model was trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from default_model.scouting import fit_scouting
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.evaluation.sweep import list_tasks
from napari_clickseg.models.checkpoint import load_network, save_model

if TYPE_CHECKING:
    from collections.abc import Iterator


def images(folders: list[Path], limit: int, seed: int) -> Iterator[tuple[str, Any, Any]]:
    """Read some images of each set, drawn by the seed."""
    rng = np.random.default_rng(seed)
    for folder in folders:
        tasks = list_tasks([folder])
        for index in rng.permutation(len(tasks))[:limit]:
            record = tasks[int(index)].record
            yield record.name, read_plane(record.image).read_all(), read_labels(record.mask)


def main() -> None:
    """Read the arguments and fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of project folders")
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the same model with the weights")
    parser.add_argument("--limit", type=int, default=14, help="images of each set")
    parser.add_argument("--size", type=int, default=128, help="network pixels of a first look")
    parser.add_argument("--looks", type=int, default=5)
    parser.add_argument("--factor", type=float, default=1.7)
    parser.add_argument("--window", type=int, help="network pixels of the later looks")
    args = parser.parse_args()
    network, card = load_network(args.model)
    if args.window:
        ratio = args.window / card.window.size
        window = card.window.model_copy(update={"size": args.window})
        card = card.model_copy(update={"window": window, "disk_radius": card.disk_radius * ratio})
    segmenter = Segmenter(network, card, device="cpu")
    folders = sorted(p for p in args.data.iterdir() if (p / "index.csv").exists())
    spec = fit_scouting(
        segmenter,
        images(folders, args.limit, 0),
        size=args.size,
        looks=args.looks,
        factor=args.factor,
    )
    card = card.model_copy(update={"scouting": spec})
    save_model(args.out, network.state_dict(), card)
    print(spec)


if __name__ == "__main__":
    main()
