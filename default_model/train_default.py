"""Train the default click model: ``python -m default_model.train_default DATA --out RUN``.

DATA is a folder of project folders (each with ``index.csv``, ``images/``, ``masks/`` and a
``SOURCE.md`` that names its licence). The run is resumed, with its own spec, if RUN is there
already. ``cpu.json`` and ``gpu.json`` beside this file are specs for two cores and for a GPU.
"""

from __future__ import annotations

import argparse
import csv
import logging
import re
import subprocess
from pathlib import Path

import torch

from default_model.trainer import DefaultModelSpec, train_default_model
from napari_clickseg.models.card import DataSource


def data_source(folder: Path) -> DataSource:
    """Read what SOURCE.md says about a set's licence and citation."""
    with (folder / "index.csv").open(newline="") as file:
        images = sum(1 for _ in csv.DictReader(file))
    text = (folder / "SOURCE.md").read_text() if (folder / "SOURCE.md").exists() else ""
    licence = re.search(r"^(?:- )?Licence (?:of the data|found)[^:]*: *(.+)$", text, re.M)
    citation = re.search(r"^(?:- )?Cite: *(.+)$", text, re.M)
    return DataSource(
        name=folder.name,
        images=images,
        licence=licence.group(1).strip()[:300] if licence else "see the set's own page",
        citation=citation.group(1).strip()[:300] if citation else "",
    )


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of project folders")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--spec", type=Path, help="JSON of a DefaultModelSpec")
    parser.add_argument("--samples", type=int, help="samples to learn from")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--start", type=Path, help="a model's file to start from")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    spec = DefaultModelSpec()
    known = args.out / "spec.json"
    if args.spec or known.exists():
        spec = DefaultModelSpec.model_validate_json((args.spec or known).read_text())
    changes = {k: v for k in ("samples", "device") if (v := getattr(args, k)) is not None}
    spec = DefaultModelSpec.model_validate(spec.model_dump() | changes)
    torch.backends.cudnn.benchmark = True
    folders = sorted(p for p in args.data.iterdir() if (p / "index.csv").exists())
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    logging.info("%d sets, commit %s", len(folders), commit)
    card = train_default_model(
        spec, folders, args.out, tuple(map(data_source, folders)), args.start, commit
    )
    logging.info("%s", card.training)


if __name__ == "__main__":
    main()
