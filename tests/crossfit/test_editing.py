from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.core.clicks import Click
from napari_clickseg.crossfit.editing import (
    KINDS,
    begin_copy,
    can_edit,
    edited,
    look,
    replace_clicks,
)
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.report import write_report
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.data.click_table import read_click_table
from tests.crossfit.paused import paused

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.crossfit.editing import ImageRegions


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CrossfitFolder:
    home = tmp_path_factory.mktemp("paused")
    return paused(home / "out", home / "project")


@pytest.fixture
def folder(made: CrossfitFolder, tmp_path: Path) -> CrossfitFolder:
    """The same, to be changed; beside the project, as paths are relative."""
    path = made.path.with_name(tmp_path.name)
    shutil.copytree(made.path, path)
    return CrossfitFolder(path)


@pytest.fixture
def sight(made: CrossfitFolder) -> ImageRegions:
    return look(made, made.rows[0].image)


def pixel_of(sight: ImageRegions, kind: str) -> tuple[float, float]:
    y, x = np.argwhere(sight.kinds == KINDS.index(kind) + 1)[0]
    return float(y), float(x)


def test_every_pixel_is_of_the_region_that_the_table_says(
    made: CrossfitFolder, sight: ImageRegions
) -> None:
    rows = [row for row in made.region_rows() if row.image == sight.image]
    assert {row.kind for row in rows} == set(KINDS)
    for row in rows:
        inside = sight.numbers == row.region
        assert inside.sum() == row.area
        assert (sight.kinds[inside] == KINDS.index(row.kind) + 1).all()
    assert ((sight.numbers == 0) == (sight.kinds == 0)).all()


def test_a_click_is_for_the_region_it_lies_in(sight: ImageRegions) -> None:
    missed, much, right = (pixel_of(sight, kind) for kind in ("fn", "fp", "tp"))
    clicks = sight.named(
        [Click(*missed), Click(*much, False), Click(*right), Click(*missed, False), Click(0, 0)]
    )
    assert [one.kind for one in clicks] == ["fn", "fp", "tp", "fp", "fn"]
    assert [one.region > 0 for one in clicks] == [True, True, True, False, False]
    assert [one.positive for one in clicks] == [True, False, True, False, True]
    assert sight.named([Click(-5, 3), Click(3, 64)]) == ()


def test_clicks_of_one_image_are_replaced_and_the_others_stay(folder: CrossfitFolder) -> None:
    before = read_click_table(folder.clicks)
    image = before.images[1].image
    new = look(folder, image).named([Click(3.25, 4.5)], fold=2)
    replace_clicks(folder, image, new)
    after = read_click_table(folder.clicks)
    assert after.by_image[image] == new
    assert after.images == before.images
    kept = [one for one in before.clicks if one.image != image]
    assert [one for one in after.clicks if one.image != image] == kept
    assert read_click_table(folder.placed) == before
    assert edited(folder) == (1, len(before.by_image[image]))
    write_report(folder)
    count = len(before.by_image[image])
    assert f"edited by hand: 1 added, {count} taken away" in folder.report.read_text()
    replace_clicks(folder, image, before.by_image[image])
    assert edited(folder) == (0, 0)
    assert read_click_table(folder.placed) == before


def test_clicks_can_be_edited_until_something_learns_from_them(folder: CrossfitFolder) -> None:
    assert can_edit(folder)
    run = folder.run(2, "clicked")
    run.path.mkdir(parents=True)
    run.add("started", pid=0)
    assert not can_edit(folder)
    folder.clicks.unlink()
    assert not can_edit(CrossfitFolder(folder.path))


def test_a_copy_can_be_edited_though_the_first_one_has_learned(
    folder: CrossfitFolder, tmp_path: Path
) -> None:
    folder.run(1, "baseline").path.mkdir(parents=True)  # the other one failed
    folder.final.path.mkdir()
    folder.final.add("started", pid=0)
    other = CrossfitFolder(tmp_path / "deep" / "copy")
    begin_copy(folder, other)
    assert can_edit(other) and other.log.state == "stopped"
    image = other.rows[0].image
    replace_clicks(other, image, ())
    assert image in read_click_table(folder.clicks).by_image
    there = read_click_table(other.clicks).images[0]
    assert (other.path / there.file).resolve() == other.records()[image].image.resolve()
    assert look(other, image).clicks == ()
    with pytest.raises(CrossfitError, match="holds a cross-fitting"):
        begin_copy(folder, other)


def test_an_image_that_is_unknown_is_refused(made: CrossfitFolder) -> None:
    with pytest.raises(CrossfitError, match="not an image of the cross-fitting"):
        look(made, "other.png")
