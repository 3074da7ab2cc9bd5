"""`clickseg replay`: clicks that somebody made, on another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import (
    UsageError,
    add_model_options,
    add_verb,
    integers,
    note,
    progress,
    say,
)
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    import argparse

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.session import Session
    from napari_clickseg.journal.recording import Recording


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "replay",
        run,
        "Make the clicks of a journal again on another model, and compare with what was accepted.",
        "Journals are written while images are annotated in napari; Rules ▸ Where unsaved work is "
        "kept says where they lie. No image is in them.",
    )
    option = parser.add_argument
    option("journal", type=Path, metavar="JOURNAL", help="a .jsonl file")
    option("--image", type=Path, metavar="I", required=True, help="that was annotated")
    option("--channel", type=integers, default=(), metavar="N", help="channels, e.g. 0 or 0,2")
    option("--json", type=Path, metavar="F", help="write all figures to this file")
    option("--overwrite", action="store_true", help="replace that file if it is there")
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.data.masks import check_free
    from napari_clickseg.evaluation.replay import replay, replay_report
    from napari_clickseg.journal.recording import read_journal
    from napari_clickseg.models.checkpoint import sha256
    from napari_clickseg.models.registry import find_model

    if args.json is not None:
        check_free(args.json, overwrite=args.overwrite)
    recording = read_journal(args.journal)
    checksum = sha256(find_model(args.model).path)
    from napari_clickseg.engine.segmenter import load_segmenter

    segmenter = load_segmenter(args.model, args.device)
    with progress(len(recording.scene.objects), "object") as bar:
        objects = replay(
            recording, lambda plane: _begin(args, recording, segmenter, plane), lambda: bar.update()
        )
    if not objects:
        raise UsageError(f"Nothing was accepted by clicks in {args.journal}.")
    recorded = [{"name": one.name, "sha256": one.sha256} for one in recording.models]
    figures = replay_report(objects, model=args.model, sha256=checksum, recorded_with=recorded)
    left_out = len(recording.scene.objects) - len(objects)
    if left_out:
        note(f"left out: {counted(left_out, 'object')} without clicks")
    say(_table(figures))
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _begin(
    args: argparse.Namespace, recording: Recording, segmenter: Segmenter, plane: Plane
) -> Session:
    from napari_clickseg.data.images import read_plane

    aside = (*plane.axes, recording.began.channel_axis)
    at = tuple(n for axis, n in enumerate(plane.index) if axis not in aside)
    read = read_plane(args.image, at, args.channel)
    if read.shape[:2] != plane.shape:
        height, width = plane.shape
        raise UsageError(
            f"{args.image} is not the image of the journal: that has {height} × {width} pixels, "
            f"this {read.shape[0]} × {read.shape[1]}."
        )
    return segmenter.start(read.data, rgb=read.rgb, contrast_limits=recording.seen.contrast)


def _table(figures: dict[str, Any]) -> str:
    objects = figures["objects"]
    lines = [
        f"{counted(objects, 'object')}, {counted(figures['gestures'], 'gesture')}",
        f"IoU after the first {figures['iou_first']:.3f}, after the last {figures['iou_last']:.3f}",
    ]
    for level, noc in figures["noc"].items():
        reached = figures["reached"][level]
        percent = round(100 * float(level))
        lines.append(f"NoC@{percent} {noc:.2f} ({reached} of {objects} reach it)")
    return "\n".join(lines)
