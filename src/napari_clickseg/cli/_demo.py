"""`clickseg demo`: segment an example image in napari."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb

if TYPE_CHECKING:
    import argparse


def add(verbs: Any) -> None:
    parser = add_verb(verbs, "demo", run, "Segment an example image in napari.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save pictures there and quit")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg._qt.demo.demo import run as run_demo

    status: int = run_demo(args.out)
    return status
