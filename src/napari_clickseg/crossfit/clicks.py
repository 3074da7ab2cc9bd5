"""Where the baselines are wrong, and the clicks that would correct them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_clickseg.core.regions import ClickSpec, clicks_in, find_regions
from napari_clickseg.crossfit.folder import RegionRow
from napari_clickseg.crossfit.truth import ignored_id, read_prediction, read_truth
from napari_clickseg.data.click_table import ClickTable, TableClick, TableImage, read_click_table
from napari_clickseg.data.sets.derived import relative
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_clickseg.core.regions import Region, RegionClick
    from napari_clickseg.crossfit.folder import CrossfitFolder, FoldRow


def make_clicks(
    folder: CrossfitFolder, tell: Callable[[int, int], object] = lambda *_: None
) -> ClickTable:
    """Compare out-of-fold predictions with the truth; write regions.csv and clicks.json.

    Images without a prediction, whose baseline failed, get no clicks. Where there are clicks
    already, those of images that were predicted since are added, and what learned from fewer
    clicks is forgotten, to be trained again.

    Parameters
    ----------
    tell : callable
        Called with the number of images that are done, and how many there are.
    """
    spec, records, rows = folder.spec, folder.records(), folder.rows
    ignore = ignored_id(spec.training)
    rule = ClickSpec(anchors=spec.anchors)
    before = read_click_table(folder.clicks) if folder.clicks.exists() else ClickTable()
    known = {row.image for row in before.images if row.prediction}
    regions = [region for region in folder.region_rows() if region.image in known]
    images: list[TableImage] = []
    clicks: list[TableClick] = []
    for done, row in enumerate(rows):
        tell(done, len(rows))
        if row.image in known:
            continue
        record, path = records[row.image], folder.predictions / row.prediction
        there = path.exists()
        prediction = relative(path, folder.path) if there else ""
        file = relative(record.image, folder.path)
        images.append(TableImage(image=row.image, file=file, prediction=prediction, fold=row.fold))
        if there:
            truth = read_truth(record, spec.training, ignore)
            values, mask = read_prediction(path, truth.mask.shape)
            of_image = find_regions(mask, truth.mask, ignore=truth.ignore)
            placed = clicks_in(of_image, mask.shape, spec=rule, seed=spec.training.seed)
            regions += [_region(row, one, values, placed) for one in of_image]
            clicks += [_click(row, one) for one in placed]
    order = {row.image: n for n, row in enumerate(rows)}
    folder.write_rows(folder.regions, sorted(regions, key=lambda region: order[region.image]))
    table = _with(before, images, clicks, order)
    _say(folder, table)
    if known:
        _learn_again(folder, clicks, {image.fold for image in images if image.prediction})
        if folder.placed.exists():
            placed_before = _with(read_click_table(folder.placed), images, clicks, order)
            folder.write(folder.placed, placed_before.to_json())
    folder.write(folder.clicks, table.to_json())  # last: the stage is done
    tell(len(rows), len(rows))
    return table


def _with(
    table: ClickTable,
    images: Sequence[TableImage],
    clicks: Sequence[TableClick],
    order: Mapping[str, int],
) -> ClickTable:
    """Add images with their clicks; clicks that are there stay, those put there by hand too."""
    known = {image.image for image in table.images if image.prediction}
    new = {image.image for image in images} - known
    rows = [image for image in table.images if image.image not in new]
    rows += [image for image in images if image.image in new]
    all_clicks = [*table.clicks, *(click for click in clicks if click.image in new)]

    def turn(one: TableImage | TableClick) -> int:
        return order.get(one.image, len(order))

    update = {
        "images": tuple(sorted(rows, key=turn)),
        "clicks": tuple(sorted(all_clicks, key=turn)),
    }
    return table.model_copy(update=update)


def _learn_again(folder: CrossfitFolder, clicks: Sequence[TableClick], folds: set[int]) -> None:
    """Forget figures of folds whose clicks changed, and networks that learned from fewer clicks.

    A fold's network learns from the other folds' clicks; the final one from all.
    """
    stale = []
    fresh = {click.fold for click in clicks} if folder.spec.clicks != "simulated" else set()
    for fold in folder.folds:
        run = folder.run(fold, "clicked")
        learned = bool(fresh - {fold}) and run.path.exists()
        if learned:
            stale.append((f"that of fold {fold}", run))
        if learned or fold in folds:
            folder.measured(fold).unlink(missing_ok=True)
            folder.measured(fold).with_suffix(".jsonl").unlink(missing_ok=True)
    if fresh and folder.final.path.exists():
        stale.append(("the final one", folder.final))
    if stale:
        names = ", ".join(name for name, _ in stale)
        added = f"{counted(len(clicks), 'click')} {'was' if len(clicks) == 1 else 'were'} added"
        text = f"{added}, so what learned without is trained again: {names}"
        folder.log.add("message", level="info", text=f"{text}.")
    for _, run in stale:
        shutil.rmtree(run.path)


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
        f"{counted(positive, 'positive click')} and "
        f"{counted(len(table.clicks) - positive, 'negative click')} on "
        f"{counted(len(table.by_image), 'image')}; {without} {'needs' if without == 1 else 'need'} "
        "none."
    )
    folder.log.add("message", level="info", text=text)
