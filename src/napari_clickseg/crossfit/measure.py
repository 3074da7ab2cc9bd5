"""What a fold's models make of the images that neither of them saw.

All is measured in the sessions that a click in napari runs.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.oracle import next_click
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.crossfit.truth import ignored_id, read_prediction, read_truth
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.data.images import read_plane
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.metrics import iou, overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg.core.regions import Region
    from napari_clickseg.crossfit.folder import CrossfitFolder, FoldRow, RegionRow
    from napari_clickseg.crossfit.truth import Truth
    from napari_clickseg.data.click_table import TableClick
    from napari_clickseg.data.project import Record
    from napari_clickseg.engine.segmenter import Segmenter, Session
    from napari_clickseg.evaluation.metrics import Overlap

    BoolArray = npt.NDArray[np.bool_]


def measure_fold(
    folder: CrossfitFolder, fold: int, tell: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Measure a fold's models on its images, and write measured.json.

    Each image's figures are kept as they come, so that it can go on where it was stopped.

    Parameters
    ----------
    folder : CrossfitFolder
        With the fold's models and the clicks.
    fold : int
        From 1.
    tell : callable
        Called with the number of images that are done, and how many there are.
    """
    spec, records = folder.spec, folder.records()
    rows = [row for row in folder.rows if row.fold == fold]
    clicks = read_click_table(folder.clicks).by_image
    regions = [row for row in folder.region_rows() if row.fold == fold]
    segmenter = load_segmenter(folder.run(fold, "clicked").model, spec.training.device)
    ignore = ignored_id(spec.training)
    kept = folder.fold(fold) / "measured.jsonl"
    measured = _read(kept)
    with kept.open("a", encoding="utf-8") as file:
        for done, row in enumerate(rows):
            tell(done, len(rows))
            if row.image in measured:
                continue
            record = records[row.image]
            truth = read_truth(record, spec.training, ignore)
            mine = [region for region in regions if region.image == row.image]
            placed = _largest_first(clicks.get(row.image, ()), mine)
            measured[row.image] = measure_image(
                segmenter, folder, row, record, truth, placed, mine, spec.noc_clicks
            )
            file.write(json.dumps(measured[row.image]) + "\n")
            file.flush()
    text = json.dumps({"fold": fold, "images": [measured[row.image] for row in rows]}, indent=1)
    folder.write(folder.measured(fold), text + "\n")
    kept.unlink()
    tell(len(rows), len(rows))


def measure_image(
    segmenter: Segmenter,
    folder: CrossfitFolder,
    row: FoldRow,
    record: Record,
    truth: Truth,
    clicks: Sequence[TableClick],
    regions: Sequence[RegionRow],
    most: int,
) -> dict[str, Any]:
    """Measure the click-trained model on one image.

    Parameters
    ----------
    folder, row, record, truth
        Where the baseline's prediction is, and the image.
    clicks : sequence of TableClick
        Those that correct the baseline, in the order in which they are made.
    most : int
        Clicks of the simulated annotator, at the most.

    Returns
    -------
    dict
        overlaps (both, predicted and actual pixels) of "baseline", "no_clicks" and "clicks"; the
        curve of IoU after 0, 1, … simulated clicks; for each region with clicks its kind, its
        confidence, its clicks, and the share of it that is right with the clicks ("right"), and
        without any ("right_without").
    """
    plane = read_plane(record.image)
    _, before = read_prediction(folder.predictions / row.prediction, truth.mask.shape)
    session = segmenter.start(plane.read_all(), rgb=plane.rgb)
    without = session.predict().mask
    given = tuple(Click(one.y, one.x, one.positive) for one in clicks)
    after = session.evaluate(Prompt(given)).mask if given else without
    masks = {"baseline": before, "no_clicks": without, "clicks": after}
    return {
        "image": row.image,
        "generated": len(given),
        "overlaps": {
            name: _numbers(overlap(mask, truth.mask, truth.ignore)) for name, mask in masks.items()
        },
        "curve": _curve(session, truth, without, most),
        "regions": _obeyed(masks, truth, regions, Counter(one.region for one in clicks)),
    }


def _numbers(overlap: Overlap) -> list[int]:
    return [overlap.both, overlap.predicted, overlap.actual]


def _curve(session: Session, truth: Truth, mask: BoolArray, most: int) -> list[float]:
    """Click where the mask is most wrong, beginning with what is found without a click."""
    session.reset()
    ious = [iou(mask, truth.mask, truth.ignore)]
    while len(ious) <= most:
        click = next_click(mask, truth.mask, session.clicks, ignore=truth.ignore)
        if click is None:
            return ious + [ious[-1]] * (most + 1 - len(ious))
        session.click(click.y, click.x, click.positive)
        mask = session.predict().mask
        ious.append(iou(mask, truth.mask, truth.ignore))
    return ious


def _obeyed(
    masks: Mapping[str, BoolArray],
    truth: Truth,
    regions: Sequence[RegionRow],
    clicks: Mapping[int, int],
) -> list[dict[str, Any]]:
    """Return how much of each region with clicks is right with them and without any."""
    from napari_clickseg.core.regions import find_regions

    wrong = find_regions(masks["baseline"], truth.mask, ignore=truth.ignore)
    by_number = {one.number: one for one in wrong}
    rows = []
    for region in regions:
        count = clicks.get(region.region, 0)
        if not count or region.kind == "tp" or region.region not in by_number:
            continue
        rows.append(
            {
                "region": region.region,
                "kind": region.kind,
                "clicks": count,
                "confidence": region.confidence,
                "right": _right(masks["clicks"], by_number[region.region]),
                "right_without": _right(masks["no_clicks"], by_number[region.region]),
            }
        )
    return rows


def _right(mask: BoolArray, region: Region) -> float:
    """Return the share of a region of errors that is right in a mask."""
    patch = region.patch
    inside = float(mask[patch.box.slices][patch.mask].mean())
    return round(inside if region.kind == "fn" else 1 - inside, 4)


def _largest_first(clicks: Sequence[TableClick], regions: Sequence[RegionRow]) -> list[TableClick]:
    areas = {region.region: region.area for region in regions}
    return sorted(clicks, key=lambda click: -areas.get(click.region, 0))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read what was measured before; a line that was cut off is taken away."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = [json.loads(line) for line in whole.splitlines()]
    return {row["image"]: row for row in rows}
