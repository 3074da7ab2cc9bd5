"""What a start is worth: the same trainings from the default model, from scratch, from ImageNet.

    python -m benchmarks.transfer PROJECT --out FOLDER [--starts default scratch imagenet]
        [--seeds 0 1 2] [--figure dice_macro] [--set key=value ...]

Every training has the same network, images, windows and epochs, so an epoch takes as long from each
start; the seed draws what is validated on as well as the order. Prints a Markdown table: the figure
after each epoch (mean over seeds), and that of the best epoch of each seed; then how far the first
start is ahead of each other one, beside twice the larger standard deviation over seeds, and in how
many epochs. FOLDER keeps the runs; those that are whole are not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.cli._train import read_settings
from napari_clickseg.training.finetune import finetune, resume
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec
from napari_clickseg.training.tables import read_table

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def learned(folder: Path, fields: dict[str, Any], figure: str) -> Floats:
    """Train, or go on with what was begun; return the figure after each epoch."""
    if (folder / "last.ckpt").exists():
        if RunFolder(folder).state != "finished":
            resume(folder, compare=False)
    else:
        finetune(TrainingSpec.model_validate(fields), folder, compare=False)
    print(f"{folder.name}: done", file=sys.stderr, flush=True)
    return np.array([float(row[figure]) for row in read_table(folder / "metrics.csv")])


def spread(values: Floats) -> float:
    """Return the standard deviation over seeds; 0 for a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def say(curves_of: dict[str, Floats], figure: str) -> None:
    """Print the table, and how far the first start is ahead."""
    epochs = min(curves.shape[1] for curves in curves_of.values())
    steps = sorted({round(n) for n in np.linspace(1, epochs, min(epochs, 10))})
    print(f"\n| {figure} after epoch | {' | '.join(map(str, steps))} | best of each seed |")
    print(f"|---|{'--:|' * (len(steps) + 1)}")
    for start, curves in curves_of.items():
        means = (f"{curves[:, n - 1].mean():.3f}" for n in steps)
        best = ", ".join(f"{value:.3f}" for value in curves.max(axis=1))
        print(f"| {start} | {' | '.join(means)} | {best} |")
    first, *others = curves_of
    for other in others:
        best = {name: curves_of[name].max(axis=1) for name in (first, other)}
        ahead = best[first].mean() - best[other].mean()
        twice = 2 * max(spread(values) for values in best.values())
        gaps = curves_of[first][:, :epochs].mean(axis=0) - curves_of[other][:, :epochs].mean(axis=0)
        print(
            f"\n{first} is ahead of {other} by {ahead:.3f} at the best epoch "
            f"(twice the spread over seeds: {twice:.3f}), and in {(gaps > 0).sum()} of {epochs} "
            f"epochs."
        )


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--starts", nargs="+", default=["default", "scratch"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--figure", default="dice_macro", help="a column of metrics.csv")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    settings = {"task": "multiclass", "patience": 0} | read_settings(args.set)
    curves_of: dict[str, list[Floats]] = {start: [] for start in args.starts}
    for seed in args.seeds:
        for start in args.starts:
            fields = {"project": str(args.project), "start": start, "seed": seed} | settings
            curve = learned(args.out / f"{start}-{seed}", fields, args.figure)
            curves_of[start].append(curve)
            (args.out / "transfer.json").write_text(
                json.dumps(
                    {s: [list(c) for c in curves] for s, curves in curves_of.items()}, indent=1
                )
                + "\n"
            )
    say({start: np.stack(curves) for start, curves in curves_of.items()}, args.figure)


if __name__ == "__main__":
    main()
