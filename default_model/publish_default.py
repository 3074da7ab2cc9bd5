"""Make a trained model the bundled one, with its figures, and write its page.

From the top of the repository, ``clickseg evaluate DATA/dev/* --model RUN/model.safetensors --json
FIGURES.json``, then ``python -m default_model.publish_default RUN/model.safetensors FIGURES.json
--command "..."``; after a change to the notes alone, ``python -m default_model.publish_default
--page``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from napari_clickseg.models.checkpoint import read_card, save_model, sha256

if TYPE_CHECKING:
    from napari_clickseg.models.card import ModelCard

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "napari_clickseg" / "models" / "bundled"
NOTES = ROOT / "default_model" / "model_notes.md"  # what is not in the card, each with its command
LIMIT = 16 * 2**20  # bytes
CLICKS = ("1", "2", "3", "5", "10", "20")


def short(figures: dict[str, Any]) -> dict[str, Any]:
    """Keep of the figures what a card needs."""
    out = {k: round(v, 3) for k, v in figures.items() if k.startswith(("noc", "failures"))}
    out["objects"] = figures["objects"]
    out["iou"] = {n: round(figures["iou"][n], 4) for n in CLICKS if n in figures["iou"]}
    return out


def history(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that a model came from, the first one first."""
    before = training.get("started_from")
    return [*(history(before) if before else []), training]


def run_row(number: int, training: dict[str, Any]) -> str:
    """Return a line of the table of runs."""
    spec = training["spec"]
    shares_of: dict[int, float] = {}
    for stage in spec["stages"]:
        shares_of[stage["size"]] = shares_of.get(stage["size"], 0) + stage["share"]
    windows = ", ".join(f"{size} px ({share:.0%})" for size, share in shares_of.items())
    if len(spec["stages"]) > 3:
        windows += " in turns"
    if "averaged" in training:
        windows += f"; averaged, {training['averaged']['share']:.0%} of it, with its start"
    shares = [*spec["shares"], 0.0][:3]  # runs before the seventh knew two
    cells = (
        f"{training['samples']:,}",
        f"{training['seconds'] / 60:.0f} min",
        f"{spec.get('optimizer', 'adamw')}, {spec['stages'][0]['batch']} at a time",
        windows,
        " / ".join(f"{share:.0%}" for share in shares),
        str(spec["seed"]),
        training.get("commit", "")[:7],
    )
    return f"| {number} | " + " | ".join(cells) + " |"


def scouting(card: ModelCard) -> str:
    """Say how the first look's distance is found."""
    spec = card.scouting
    if spec is None:
        return "the whole view, then closer"
    again = f", and looked at once more at {card.window.size} px," if spec.second_look else ""
    return (
        f"up to {spec.looks} distances at {spec.size} px, each {spec.factor:g} times nearer; which "
        f"answer is taken{again} was fitted on the training images "
        "(`default_model/fit_scouting.py`)"
    )


def inputs(card: ModelCard) -> str:
    """Say what the network is shown."""
    guidance = f"positive clicks, negative clicks (disks of radius {card.disk_radius:g})"
    if card.encoding == "prompts":
        guidance += ", scribbles as strokes beside them"
    guidance += ", previous probability"
    if card.encoding == "prompts":
        guidance += ", what boxes and lassos are around"
    if card.encoding in ("likeness", "prompts"):
        guidance += ", and how much each pixel looks like the clicked ones "
        guidance += "(positive and negative, at two scales)"
    where = "; these join beside the encoder" if card.fusion == "beside" else ""
    return f"{card.image_channels} image channels, {guidance}{where}"


def beginning(runs: list[dict[str, Any]]) -> str:
    """Say what the first run began with."""
    weights = runs[0]["spec"].get("encoder_weights")
    if not weights:
        return "Trained from scratch (no weights of others)"
    return (
        f"The encoder began with weights from {weights} (those of the packages that "
        "[dependencies.md](dependencies.md) lists), all else from scratch"
    )


def terms(card: ModelCard) -> str:
    """Say under which terms the weights may be used, and which sets have terms of their own."""
    own = [f"`{d.name}`" for d in card.data if re.search("individual .*terms", d.licence)]
    said = (
        f"**Terms.** The weights may be used under {card.licence}. They were learned from "
        "generated images and from the sets [listed below](#what-it-was-trained-on), each with its "
        "licence"
    )
    if not own:
        return f"{said}."
    return (
        f"{said}; of these, {', '.join(own)} hold photos that their authors published under terms "
        "of their own."
    )


def bundle(target: Path, model: Path, card: ModelCard, most: int) -> None:
    """Make a model, of so many bytes at the most, one that comes with the package."""
    save_model(target, load_file(model), card)
    size = target.stat().st_size
    if size > most:
        raise SystemExit(f"The model has {size} bytes, more than {most}; choose a smaller one.")
    known = BUNDLED / "sha256.json"
    sums = json.loads(known.read_text()) | {target.name: sha256(target)}
    known.write_text(json.dumps(sums, indent=2) + "\n")


def page(card: ModelCard, size: int) -> str:
    """Write the model's page in Markdown."""
    options = ", ".join(f"{k} {v}" for k, v in card.options.items())
    mean, runs = card.metrics["mean"], history(card.training)
    total = sum(int(run["samples"]) for run in runs)
    clicks = [n for n in CLICKS if n in mean["iou"]]
    lines = [
        "# The default click model",
        "",
        "Written by `default_model/publish_default.py` from the model's own card and "
        "`default_model/model_notes.md`; don't edit.",
        "",
        card.description,
        "",
        terms(card),
        "",
        f"- Network: {card.architecture} with encoder {card.encoder} ({options}), "
        f"{size / 2**20:.1f} MB in half precision",
        f"- Input: {inputs(card)}; windows of {card.window.size} pixels",
        f"- The first click is looked at from {scouting(card)}",
        f"- {beginning(runs)}; {total:,} samples in all; [how](#how-it-was-trained)",
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
        "## How it was trained",
        "",
        "By `default_model/train_default.py` in runs that each started from the model of the one "
        "before, on one or two processor cores; the model's card keeps their specs. The last "
        "columns: shares of the samples from generated images, superpixels of real ones, and real "
        "images with something put into them; the seed; the commit where it was kept.",
        "",
        "| run | samples | time | optimizer | windows | made / cut / composed | seed | commit |",
        "|---|--:|--:|---|---|---|--:|---|",
        *(run_row(n, run) for n, run in enumerate(runs, 1)),
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


def write_page(model: Path) -> None:
    """Write docs/model.md."""
    (ROOT / "docs" / "model.md").write_text(page(read_card(model), model.stat().st_size))


def main() -> None:
    """Copy the model, with its figures in the card, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("figures", type=Path, nargs="?", help="JSON of clickseg evaluate")
    parser.add_argument("--command", help="what made the figures, for the page")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    parser.add_argument("--limits", help="what the card says about its limits")
    args = parser.parse_args()
    target = BUNDLED / "default.safetensors"
    if args.page:
        write_page(target)
        return
    if not (args.model and args.figures and args.command):
        parser.error("give a model, its figures and --command, or --page")
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
            # Models of before the commit was kept: that of the code that publishes them.
            "training": {"commit": commit, **card.training},
            "metrics": {
                "command": args.command,
                "clicks": figures["spec"]["clicks"],
                "mean": short(figures["mean"]),
                "sets": {name: short(one) for name, one in figures["sets"].items()},
            },
        }
    )
    bundle(target, args.model, card, LIMIT)
    write_page(target)


if __name__ == "__main__":
    main()
