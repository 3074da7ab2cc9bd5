"""Make a trained model the bundled one, with its figures, and write its page.

``clickseg evaluate DATA/dev/* --model RUN/model.safetensors --json FIGURES.json``, then
``python training/publish_default.py RUN/model.safetensors FIGURES.json --command "..."``
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from napari_clickseg.models.checkpoint import read_card, save_model, sha256

if TYPE_CHECKING:
    from napari_clickseg.models.card import ModelCard

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "napari_clickseg" / "models" / "bundled"
NOTES = ROOT / "training" / "model_notes.md"  # what is not in the card, each with its command
LIMIT = 16 * 2**20  # bytes
CLICKS = ("1", "2", "3", "5", "10", "20")


def short(figures: dict[str, Any]) -> dict[str, Any]:
    """Keep of the figures what a card needs."""
    out = {k: round(v, 3) for k, v in figures.items() if k.startswith(("noc", "failures"))}
    out["objects"] = figures["objects"]
    out["iou"] = {n: round(figures["iou"][n], 4) for n in CLICKS if n in figures["iou"]}
    return out


def samples(training: dict[str, Any]) -> int:
    """Count what was learned from, also by the models that it started from."""
    before = training.get("started_from")
    return int(training["samples"]) + (samples(before) if before else 0)


def scouting(card: ModelCard) -> str:
    """Say how the first look's distance is found."""
    spec = card.scouting
    if spec is None:
        return "the whole view, then closer"
    return (
        f"up to {spec.looks} distances at {spec.size} px, each {spec.factor:g} times nearer; "
        "which answer is taken was fitted on the training images (`training/fit_scouting.py`)"
    )


def page(card: ModelCard, size: int) -> str:
    """Write the model's page in Markdown."""
    options = ", ".join(f"{k} {v}" for k, v in card.options.items())
    spec, mean = card.training["spec"], card.metrics["mean"]
    clicks = [n for n in CLICKS if n in mean["iou"]]
    lines = [
        "# The default click model",
        "",
        "Written by `training/publish_default.py` from the model's own card and "
        "`training/model_notes.md`; don't edit.",
        "",
        card.description,
        "",
        f"- Network: {card.architecture} with encoder {card.encoder} ({options}), "
        f"{size / 2**20:.1f} MB in half precision",
        f"- Input: {card.image_channels} image channels, positive clicks, negative clicks (disks "
        f"of radius {card.disk_radius:g}), previous probability; windows of {card.window.size} "
        "pixels",
        f"- The first click is looked at from {scouting(card)}",
        f"- Trained on {samples(card.training):,} samples from scratch (no weights of others), "
        f"seed {spec['seed']}, with windows of "
        + ", ".join(f"{s['size']} px ({s['share']:.0%})" for s in spec["stages"])
        + f"; {spec['shares'][0]:.0%} of the samples are generated images, {spec['shares'][1]:.0%} "
        "superpixels of real ones",
        f"- Licence: {card.licence}",
        "",
        "## How good it is",
        "",
        "The protocol is the field's: the next click goes to the inner-most pixel of the largest "
        "error. None of these sets was used for training. Means are over objects, then over sets.",
        "",
        "```",
        card.metrics["command"],
        "```",
        "",
        "| set | objects | NoC@80 | NoC@85 | NoC@90 | "
        + " | ".join(f"IoU after {n}" for n in clicks)
        + " |",
        "|---|--:|--:|--:|--:|" + "--:|" * len(clicks),
    ]
    for name, row in [*card.metrics["sets"].items(), ("**mean over sets**", mean)]:
        cells = [f"{row[f'noc{t}']:.2f}" for t in (80, 85, 90)]
        cells += [f"{row['iou'][n]:.3f}" for n in clicks]
        lines.append(f"| {name} | {row['objects']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"NoC counts an object that never gets there with {card.metrics['clicks']} clicks.",
        "",
        NOTES.read_text().strip(),
        "",
        "## Limits",
        "",
        card.limits,
        "",
        "## What it was trained on",
        "",
        "Generated images and these sets; none of their images is part of this package.",
        "",
        "| set | images | licence | cite |",
        "|---|--:|---|---|",
    ]
    lines += [
        f"| {d.name} | {d.images} | {d.licence.replace('|', '/')} | {d.citation} |"
        for d in card.data
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Copy the model, with its figures in the card, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("figures", type=Path, help="JSON of clickseg evaluate")
    parser.add_argument("--command", required=True, help="what made the figures, for the page")
    parser.add_argument("--limits", help="what the card says about its limits")
    args = parser.parse_args()
    figures = json.loads(args.figures.read_text())
    if figures["sha256"] != sha256(args.model):
        raise SystemExit("These are the figures of another model; evaluate this one first.")
    card = read_card(args.model)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    card = card.model_copy(
        update={
            "limits": args.limits or card.limits,
            "training": {**card.training, "commit": commit},
            "metrics": {
                "command": args.command,
                "clicks": figures["spec"]["clicks"],
                "mean": short(figures["mean"]),
                "sets": {name: short(one) for name, one in figures["sets"].items()},
            },
        }
    )
    target = BUNDLED / "default.safetensors"
    save_model(target, load_file(args.model), card)
    size = target.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"The model has {size} bytes, more than {LIMIT}; choose a smaller one.")
    sums = {target.name: sha256(target)}
    (BUNDLED / "sha256.json").write_text(json.dumps(sums, indent=2) + "\n")
    (ROOT / "docs" / "model.md").write_text(page(read_card(target), size))


if __name__ == "__main__":
    main()
