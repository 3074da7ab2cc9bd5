"""Where the baselines are wrong, and the clicks that would correct them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.core.regions import ClickSpec, clicks_in, find_regions
from napari_clickseg.crossfit.folder import RegionRow
from napari_clickseg.crossfit.truth import ignored_id, read_prediction, read_truth
from napari_clickseg.data.click_table import ClickTable, TableClick, TableImage
from napari_clickseg.data.derived import relative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg.core.regions import Region, RegionClick
    from napari_clickseg.crossfit.folder import CrossfitFolder, FoldRow

__all__ = ["make_clicks"]


def make_clicks(
    folder: CrossfitFolder, tell: Callable[[int, int], object] = lambda *_: None
) -> ClickTable:
    """Compare out-of-fold predictions with the truth; write regions.csv and clicks.json.

    Images without a prediction, whose baseline failed, get no clicks.

    Parameters
    ----------
    folder : CrossfitFolder
        With the predictions.
    tell : callable
        Called with the number of images that are done, and how many there are.
    """
    spec, records, rows = folder.spec, folder.records(), folder.rows
    ignore = ignored_id(spec.training)
    rule = ClickSpec(anchors=spec.anchors)
    images, regions, clicks = [], [], []
    for done, row in enumerate(rows):
        tell(done, len(rows))
        record, path = records[row.image], folder.predictions / row.prediction
        there = path.exists()
        prediction = relative(path, folder.path) if there else ""
        file = relative(record.image, folder.path)
        images.append(TableImage(image=row.image, file=file, prediction=prediction, fold=row.fold))
        if there:
            truth = read_truth(record, spec.training, ignore)
            values, mask = read_prediction(path, truth.mask.shape)
            found = find_regions(mask, truth.mask, ignore=truth.ignore)
            placed = clicks_in(found, mask.shape, spec=rule, seed=spec.training.seed)
            regions += [_region(row, one, values, placed) for one in found]
            clicks += [_click(row, one) for one in placed]
    table = ClickTable(images=tuple(images), clicks=tuple(clicks))
    folder.write_rows(folder.regions, regions)
    _say(folder, table)
    folder.write(folder.clicks, table.to_json())  # last: the stage is done
    tell(len(rows), len(rows))
    return table


def _region(
    row: FoldRow, region: Region, values: npt.NDArray[np.uint8], placed: Sequence[RegionClick]
) -> RegionRow:
    box = region.patch.box
    inside = float(values[box.slices][region.patch.mask].mean()) / 255
    return RegionRow(
        row.image,
        row.fold,
        region.number,
        region.kind,
        region.area,
        round(region.area / values.size, 6),
        box.top,
        box.left,
        box.height,
        box.width,
        round(1 - inside if region.kind == "fn" else inside, 4),
        sum(click.region == region.number for click in placed),
    )


def _click(row: FoldRow, click: RegionClick) -> TableClick:
    return TableClick(
        image=row.image, y=click.y, x=click.x, kind=click.kind, region=click.region, fold=row.fold
    )


def _say(folder: CrossfitFolder, table: ClickTable) -> None:
    predicted = [row for row in table.images if row.prediction]
    positive = sum(click.positive for click in table.clicks)
    without = sum(row.image not in table.by_image for row in predicted)
    text = (
        f"{positive} positive and {len(table.clicks) - positive} negative clicks on "
        f"{len(table.by_image)} images; {without} need none."
    )
    folder.log.add("message", level="info", text=text)
