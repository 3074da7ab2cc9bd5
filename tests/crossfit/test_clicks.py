from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.core.source import ImageError
from napari_clickseg.crossfit.begin import begin
from napari_clickseg.crossfit.clicks import make_clicks
from napari_clickseg.crossfit.editing import edited, replace_clicks
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.spec import changed
from napari_clickseg.crossfit.stages import is_done
from napari_clickseg.data.click_table import TableClick, read_click_table
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import read_labels, write_mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.crossfit.spec import CrossfitSpec


@pytest.fixture
def folder(tmp_path: Path, project: Path, make_spec: Callable[..., CrossfitSpec]) -> CrossfitFolder:
    """With predictions: the first is right, the second empty, the third too large."""
    crossfit = CrossfitFolder(tmp_path / "out")
    begin(make_spec(project), crossfit)
    crossfit.predictions.mkdir()
    for n, row in enumerate(crossfit.rows[:3]):
        truth = read_labels(project / "masks" / f"{n}.png").astype(bool)
        values = np.where(truth, 255, 0)
        if n == 1:
            values[:] = 51
        if n == 2:
            values[:20, :20] = 204
        write_mask(crossfit.predictions / row.prediction, values.astype(np.uint8))
    return crossfit


def test_clicks_are_put_where_predictions_are_wrong(folder: CrossfitFolder) -> None:
    table = make_clicks(folder)
    assert read_click_table(folder.clicks) == table
    right, empty, large = (table.by_image.get(f"images/{n}.png", ()) for n in range(3))
    assert right == ()
    assert {(click.kind, click.positive) for click in empty} == {("fn", True)}
    assert {(click.kind, click.positive) for click in large} == {("fp", False)}
    truth = read_labels(folder.records()["images/1.png"].mask)
    assert all(truth[int(click.y), int(click.x)] for click in empty)
    assert all(click.y < 20 and click.x < 20 for click in large)


def test_regions_say_how_sure_the_baseline_was(folder: CrossfitFolder) -> None:
    make_clicks(folder)
    rows = {(row.image, row.kind): row for row in folder.region_rows()}
    missed, too_much = rows["images/1.png", "fn"], rows["images/2.png", "fp"]
    assert missed.confidence == pytest.approx(0.8, abs=0.01)
    assert too_much.confidence == pytest.approx(0.8, abs=0.01)
    assert (too_much.y, too_much.x, too_much.height, too_much.width) == (0, 0, 20, 20)
    assert too_much.area == 400 and too_much.share == pytest.approx(400 / 4096, abs=1e-4)
    assert missed.clicks >= 1 and rows["images/0.png", "tp"].clicks == 0


def test_images_without_prediction_get_no_clicks(folder: CrossfitFolder) -> None:
    table = make_clicks(folder)
    assert [bool(image.prediction) for image in table.images] == [True] * 3 + [False] * 3
    assert all(
        (folder.path / image.file).resolve() == folder.records()[image.image].image.resolve()
        for image in table.images
    )
    events = folder.log.events()[0]
    assert "on 2 images; 1 needs none." in events[-1]["text"]


def test_images_that_are_predicted_later_get_clicks_and_edits_stay(folder: CrossfitFolder) -> None:
    make_clicks(folder)
    assert is_done(folder, "clicks", None)
    late = folder.rows[3]
    by_hand = [TableClick(image=name, y=9, x=9, kind="fn") for name in ("images/1.png", late.image)]
    for click in by_hand:
        replace_clicks(folder, click.image, [click])
    regions, edits = folder.region_rows(), edited(folder)
    write_mask(folder.predictions / late.prediction, np.full((64, 64), 51, np.uint8))
    assert not is_done(folder, "clicks", None)
    for _ in range(2):  # done twice, it adds nothing
        table = make_clicks(folder)
        assert is_done(folder, "clicks", None)
        assert [image.image for image in table.images] == [row.image for row in folder.rows]
        assert table.by_image["images/1.png"] == (by_hand[0],)
        assert table.by_image[late.image][0] == by_hand[1]
        assert {click.region for click in table.by_image[late.image][1:]} == {1}
        rows = folder.region_rows()
        assert [row for row in rows if row.image != late.image] == regions
        assert [row.kind for row in rows if row.image == late.image] == ["fn"]
        placed = read_click_table(folder.placed)
        assert placed.by_image[late.image] == table.by_image[late.image][1:]
        assert edited(folder) == edits


@pytest.mark.parametrize("clicks", ["fixed", "both", "simulated"])
def test_what_learned_from_fewer_clicks_is_trained_again(
    folder: CrossfitFolder, clicks: str
) -> None:
    """A fold's network never learns from its own fold's clicks; 0 is the final one."""
    folder.write(folder.path / "spec.json", changed(folder.spec, clicks=clicks).to_json())
    make_clicks(folder)
    late = next(row for row in folder.rows if not (folder.predictions / row.prediction).exists())
    stale = set() if clicks == "simulated" else {0, *folder.folds} - {late.fold}
    runs = {0: folder.final} | {fold: folder.run(fold, "clicked") for fold in folder.folds}
    for fold, run in runs.items():
        run.path.mkdir(parents=True)
        if fold:
            folder.write(folder.measured(fold), "{}")
    write_mask(folder.predictions / late.prediction, np.full((64, 64), 51, np.uint8))
    make_clicks(folder)
    assert {fold for fold, run in runs.items() if not run.path.exists()} == stale
    gone = {fold for fold in folder.folds if not folder.measured(fold).exists()}
    assert gone == (stale | {late.fold}) - {0}


def test_a_prediction_of_another_shape_is_named(folder: CrossfitFolder) -> None:
    write_mask(folder.predictions / "0.tif", np.zeros((9, 9), np.uint8), overwrite=True)
    with pytest.raises(ImageError, match=r"0\.tif does not fit its image"):
        make_clicks(folder)
    assert not folder.clicks.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "is not a table"),
        ('{"clicks": [{"y": 1}]}', "clicks.0"),
        ('{"schema_version": 9}', "9"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "clicks.json").write_text(text)
    with pytest.raises(ProjectError, match=reason):
        read_click_table(tmp_path / "clicks.json")


def test_a_missing_table_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        read_click_table(tmp_path / "clicks.json")
