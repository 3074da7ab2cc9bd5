"""Looking at the regions and clicks of a cross-fitting, and editing the clicks; without torch."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.regions import Kind, find_regions
from napari_clickseg.crossfit.begin import begin_from
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.crossfit.truth import ignored_id, read_prediction, read_truth
from napari_clickseg.data.click_table import ClickTable, TableClick, TableImage, read_click_table
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.sets.derived import relative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.core.clicks import Click
    from napari_clickseg.crossfit.folder import CrossfitFolder

KINDS: tuple[Kind, ...] = ("tp", "fp", "fn")  # as 1, 2 and 3 in `ImageRegions.kinds`


@dataclass(frozen=True, eq=False, slots=True)
class ImageRegions:
    """An image with its regions.

    Parameters
    ----------
    pixels : ndarray (Y, X) or (Y, X, C)
    kinds : uint8 (Y, X)
        0, or 1, 2, 3 in a region of true positives, false positives, false negatives.
    numbers : int32 (Y, X)
        The regions' numbers, as in regions.csv.
    """

    image: str
    pixels: npt.NDArray[Any]
    rgb: bool
    kinds: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.int32]
    clicks: tuple[TableClick, ...]

    def named(self, clicks: Sequence[Click], fold: int = 0) -> tuple[TableClick, ...]:
        """Say of clicks for which region they are, by where they lie.

        Parameters
        ----------
        clicks : sequence of Click
            Those outside the image are left out.
        fold : int
            Of the image.
        """
        inside = [click for click in clicks if click.inside(self.kinds.shape)]
        return tuple(self._named(click, fold) for click in inside)

    def _named(self, click: Click, fold: int) -> TableClick:
        there = int(self.kinds[click.pixel])
        kind: Kind = "fn" if click.positive else "fp"
        number = 0
        if there and (KINDS[there - 1] != "fp") == click.positive:
            kind, number = KINDS[there - 1], int(self.numbers[click.pixel])
        return TableClick(
            image=self.image, y=click.y, x=click.x, kind=kind, region=number, fold=fold
        )


def look(folder: CrossfitFolder, image: str) -> ImageRegions:
    """Read an image, its regions and its clicks.

    Parameters
    ----------
    folder : CrossfitFolder
        With clicks.
    image : str
        Its name, as in `ClickTable.images`.

    Raises
    ------
    CrossfitError, ProjectError, ImageError
        If something is not there any more, or can't be read.
    """
    table, training = read_click_table(folder.clicks), folder.spec.training
    record = folder.records().get(image)
    row = next((one for one in table.images if one.image == image), None)
    if record is None or row is None:
        raise CrossfitError(f"{image} is not an image of the cross-fitting in {folder.path}.")
    truth = read_truth(record, training, ignored_id(training))
    kinds, numbers = np.zeros(truth.mask.shape, np.uint8), np.zeros(truth.mask.shape, np.int32)
    if row.prediction:
        _, mask = read_prediction(folder.path / row.prediction, truth.mask.shape)
        for region in find_regions(mask, truth.mask, ignore=truth.ignore):
            inside = region.patch.box.slices
            kinds[inside][region.patch.mask] = KINDS.index(region.kind) + 1
            numbers[inside][region.patch.mask] = region.number
    plane = read_plane(record.image)
    clicks = table.by_image.get(image, ())
    return ImageRegions(image, plane.read_all(), plane.rgb, kinds, numbers, clicks)


def can_edit(folder: CrossfitFolder) -> bool:
    """Whether clicks were placed, and none of the networks began to learn from them."""
    if not folder.clicks.exists():
        return False
    begun = [folder.run(fold, "clicked") for fold in folder.folds] + [folder.final]
    return not any(run.events_path.exists() for run in begun)


def replace_clicks(folder: CrossfitFolder, image: str, clicks: Sequence[TableClick]) -> None:
    """Replace the clicks on one image in clicks.json; the first time the table is kept aside.

    Parameters
    ----------
    folder : CrossfitFolder
        With clicks; what else is in the table stays, whoever changed it.
    clicks : sequence of TableClick
        All that it has from now on.

    Raises
    ------
    ProjectError, OSError
        If the table can't be read, or written; it stays as it was.
    """
    table = read_click_table(folder.clicks)
    before = table.by_image.get(image, ())
    if tuple(clicks) == before:
        return
    if not folder.placed.exists():
        folder.write(folder.placed, table.to_json())
    by_image = table.by_image | {image: tuple(clicks)}
    rows = [click for row in table.images for click in by_image.get(row.image, ())]
    known = {row.image for row in table.images}
    rows += [click for click in table.clicks if click.image not in known]
    folder.write(folder.clicks, table.model_copy(update={"clicks": tuple(rows)}).to_json())


def edited(folder: CrossfitFolder) -> tuple[int, int]:
    """Return how many clicks were added and taken away by hand; one that was moved is both."""
    if not folder.placed.exists():
        return 0, 0
    now, before = (_counted(read_click_table(path)) for path in (folder.clicks, folder.placed))
    return (now - before).total(), (before - now).total()


def _counted(table: ClickTable) -> Counter[tuple[str, float, float, bool]]:
    return Counter((click.image, click.y, click.x, click.positive) for click in table.clicks)


def begin_copy(other: CrossfitFolder, folder: CrossfitFolder) -> None:
    """Make another cross-fitting of one that has learned already: paused, its clicks placed.

    Parameters
    ----------
    other : CrossfitFolder
        With clicks.
    folder : CrossfitFolder
        Must not hold one yet.

    Raises
    ------
    CrossfitError, OSError
        If it can't be made.
    """
    begin_from(other, other.spec, folder, check=False)
    shutil.copyfile(other.regions, folder.regions)
    for path, there in ((other.placed, folder.placed), (other.clicks, folder.clicks)):
        if path.exists():
            table = read_click_table(path)
            images = [_moved(row, other, folder) for row in table.images]
            folder.write(there, table.model_copy(update={"images": tuple(images)}).to_json())
    folder.log.add("finished", reason="paused", model=None)


def _moved(row: TableImage, other: CrossfitFolder, folder: CrossfitFolder) -> TableImage:
    """Say where an image is as seen from another folder."""
    return row.model_copy(update={"file": relative(other.path / row.file, folder.path)})
