"""Make the pictures that need no window: of docs/instances.md and docs/comparing.md.

    .venv/bin/python tools/make_figures.py [instances|comparing ...] [--keep FOLDER]

`instances` finds cells of the sample *Cells over time* with the model that comes along;
`comparing` trains four small networks on the sample project, which takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from picture_window import IMAGES, sample_project

SEED_HEIGHT, SMALLEST = 0.1, 50
PLANE = 4  # of the cells over time: some touch
SETTINGS = {
    "task": "binary",
    "size": "96",
    "windows": "48",
    "batch": "8",
    "epochs": "6",
    "start": "scratch",
    "device": "cpu",
}
VARIED = {"architecture": "unet,linknet", "encoder": "tu-resnet10t,tu-mobilenetv3_small_050"}


def main() -> None:
    """Make all pictures, or some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="instances, comparing")
    parser.add_argument("--keep", type=Path, help="keep the comparison here, and show it again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (args.keep or Path(folder)).absolute()
        os.environ["CLICKSEG_HOME"] = str(home)
        for name in args.names or ("instances", "comparing"):
            {"instances": instances, "comparing": comparing}[name](home)


def instances(_home: Path) -> None:
    """An image, what the network answers, and the objects that follow."""
    from matplotlib.figure import Figure
    from skimage.color import label2rgb
    from skimage.segmentation import find_boundaries

    from napari_clickseg import load_segmenter
    from napari_clickseg._napari.project.samples import time_lapse
    from napari_clickseg.core.instances.separating import SeparationRules
    from napari_clickseg.core.window import Box
    from napari_clickseg.engine.finding import ObjectFinder

    image = np.asarray(time_lapse()[0][0][PLANE])
    finder = ObjectFinder.of(load_segmenter("nuclei", device="cpu"), image)
    maps = finder.maps(Box(0, 0, *image.shape))
    labels = maps.separated(SeparationRules(seed_height=SEED_HEIGHT, smallest=SMALLEST))
    # What the distances are beside objects means nothing.
    middle = np.where(maps.foreground > 0.5, maps.distances.mean(axis=0), 0)
    shown = np.clip(image / np.percentile(image, 99.8), 0, 1)
    objects = label2rgb(labels, shown, alpha=0.45, bg_label=0)
    objects[find_boundaries(labels, mode="inner")] = 1
    figure = Figure(figsize=(12, 3.3), layout="constrained")
    axes = figure.subplots(1, 4)
    for place, (title, drawn, colours) in zip(
        axes,
        (
            ("image", shown, "gray"),
            ("foreground", maps.foreground, "viridis"),
            ("distances, their mean", middle, "viridis"),
            (f"{labels.max()} objects", objects, None),
        ),
        strict=True,
    ):
        place.imshow(drawn, cmap=colours)
        place.set_title(title)
        place.set_axis_off()
    figure.savefig(IMAGES / "instances.png", dpi=90)


def comparing(home: Path) -> None:
    """The curves of four trainings, and what each score cost."""
    out = home / "comparison"
    if not (out / "cost.png").exists():
        words = [sys.executable, "-m", "napari_clickseg.cli", "compare", str(sample_project())]
        words += ["--out", str(out)]
        for key, value in SETTINGS.items():
            words += ["--set", f"{key}={value}"]
        for key, value in VARIED.items():
            words += ["--vary", f"{key}={value}"]
        subprocess.run(words, check=True)
    shutil.copy(out / "epochs.png", IMAGES / "compare-epochs.png")
    shutil.copy(out / "cost.png", IMAGES / "compare-cost.png")


if __name__ == "__main__":
    main()
