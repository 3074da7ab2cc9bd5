from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.crossfit.begin import begin, begin_from
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.spec import CrossfitError, changed
from napari_clickseg.data.masks import write_mask
from napari_clickseg.data.project import ProjectError, read_project
from tests.crossfit.conftest import write_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.crossfit.spec import CrossfitSpec

    Make = Callable[..., CrossfitSpec]


@pytest.fixture
def folder(tmp_path: Path) -> CrossfitFolder:
    return CrossfitFolder(tmp_path / "out")


def test_each_image_is_in_one_fold_with_its_group(
    project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    assert begin(make_spec(project), folder) == []
    rows = folder.rows
    assert [row.image for row in rows] == [f"images/{n}.png" for n in range(6)]
    assert folder.folds == [1, 2, 3]
    assert len({(row.group, row.fold) for row in rows}) == 3
    assert [row.prediction for row in rows] == [f"{n}.tif" for n in range(6)]
    assert list(folder.records()) == [row.image for row in rows]


def test_the_best_round_is_not_chosen_by_what_is_reported(
    project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    begin(make_spec(project), folder)
    for fold in folder.folds:
        reported = {row.group for row in folder.rows if row.fold == fold}
        records = read_project(folder.fold(fold) / "index.csv").records
        sides = {
            side: {r.group for r in records if r.split == side}
            for side in ("training", "validation")
        }
        assert sides["training"] and sides["validation"]
        assert not sides["training"] & sides["validation"]
        assert not reported & (sides["training"] | sides["validation"])
        assert all(record.image.exists() and record.mask.exists() for record in records)


def test_what_is_open_is_chosen_once_for_all_folds(
    project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    begin(make_spec(project, epochs=0, windows=0), folder)
    training = folder.spec.training
    assert training.epochs > 0 and training.windows > 0
    assert training.scheme == "classes" and training.classes == (1,)


def test_fewer_groups_than_folds_make_fewer_folds(
    project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    said = begin(make_spec(project, folds=5), folder)
    assert folder.folds == [1, 2, 3]
    assert "The images are of 3 groups, so there are 3 folds instead of 5." in said


def test_two_groups_are_said_to_flatter_the_choice_of_the_round(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "two", 4)
    said = " ".join(begin(make_spec(project), folder))
    assert "2 folds instead of 3" in said and "one group to train on" in said


def test_one_group_is_cut_by_image_and_said_so(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "one", 4, per_group=4)
    said = " ".join(begin(make_spec(project), folder))
    assert "in different folds, so the figures flatter" in said


def test_too_few_images_are_refused(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "few", 2, per_group=1)
    with pytest.raises(CrossfitError, match="3 annotated images or more, not 2"):
        begin(make_spec(project), folder)
    assert not folder.exists


def test_test_images_take_no_part(tmp_path: Path, folder: CrossfitFolder, make_spec: Make) -> None:
    project = write_project(tmp_path / "p", 8)
    with (project / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = ["image,mask,group,split"]
    lines += [
        f"{r['image']},{r['mask']},{r['group']},{'test' if r['group'] == 'g0' else ''}"
        for r in rows
    ]
    (project / "index.csv").write_text("\n".join(lines) + "\n")
    begin(make_spec(project), folder)
    assert {row.group for row in folder.rows} == {"g1", "g2", "g3"}


def test_objects_are_found_together(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "p")
    (project / "classes.json").write_text(
        '{"schema_version": 1, "scheme": "instances", "classes": [{"id": 1, "name": "cell", '
        '"colour": "#ff0000"}], "ignore": null}'
    )
    begin(make_spec(project), folder)
    assert folder.spec.training.whole
    assert (folder.fold(1) / "classes.json").exists()


def test_one_of_several_classes_has_to_be_chosen(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "p")
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 10:30], mask[40:60, 40:60] = 1, 2
    for n in range(6):
        write_mask(project / "masks" / f"{n}.png", mask, overwrite=True)
    (project / "classes.json").write_text(
        '{"schema_version": 1, "scheme": "classes", "classes": [{"id": 1, "name": "a", '
        '"colour": "#ff0000"}, {"id": 2, "name": "b", "colour": "#00ff00"}], "ignore": null}'
    )
    with pytest.raises(CrossfitError, match=r"1 \(a\), 2 \(b\).*classes=\[1\]"):
        begin(make_spec(project), folder)
    begin(make_spec(project, classes=[2]), folder)
    assert folder.spec.training.classes == (2,)
    other = CrossfitFolder(tmp_path / "whole")
    begin(make_spec(project, whole=True), other)
    assert other.spec.training.classes == ()


@pytest.mark.parametrize("background", [True, False])
def test_the_only_class_that_masks_have_need_not_be_chosen(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make, background: bool
) -> None:
    """Though the project knows of another, and even where all is of that class."""
    project = write_project(tmp_path / "p")
    mask = np.full((64, 64), 0 if background else 2, np.uint8)
    mask[10:30, 10:30] = 2
    for n in range(6):
        write_mask(project / "masks" / f"{n}.png", mask, overwrite=True)
    (project / "classes.json").write_text(
        '{"schema_version": 1, "scheme": "classes", "classes": [{"id": 1, "name": "a", '
        '"colour": "#ff0000"}, {"id": 2, "name": "b", "colour": "#00ff00"}], "ignore": null}'
    )
    begin(make_spec(project), folder)
    assert folder.spec.training.classes == (2,)


def test_coloured_clicks_need_monochrome_images(
    tmp_path: Path, project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    coloured = write_project(tmp_path / "p", colour=True)
    with pytest.raises(CrossfitError, match=r"images/0.png is not monochrome"):
        begin(make_spec(coloured, encoding="colour"), folder)
    begin(make_spec(project, encoding="colour"), folder)
    assert folder.spec.training.image_channels == 1


def test_other_tasks_are_refused(project: Path, folder: CrossfitFolder, make_spec: Make) -> None:
    with pytest.raises(CrossfitError, match="click models, not binary"):
        begin(make_spec(project, task="binary"), folder)


def test_a_folder_that_is_used_is_left_alone(
    project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    begin(make_spec(project), folder)
    with pytest.raises(CrossfitError, match="--resume"):
        begin(make_spec(project), folder)
    folder.path.with_name("file").write_text("")
    with pytest.raises(CrossfitError, match="is a file"):
        begin(make_spec(project), CrossfitFolder(folder.path.with_name("file")))


def test_a_missing_project_is_said_to_be(folder: CrossfitFolder, make_spec: Make) -> None:
    with pytest.raises(ProjectError, match="There is no"):
        begin(make_spec(folder.path / "nowhere"), folder)


def test_images_that_left_the_project_are_named(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "p")
    begin(make_spec(project), folder)
    text = (project / "index.csv").read_text().splitlines()
    (project / "index.csv").write_text("\n".join(text[:-1]) + "\n")
    with pytest.raises(CrossfitError, match=r"images/5\.png is not in the project any more"):
        folder.records()


def test_images_of_one_name_have_predictions_of_their_own(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    project = write_project(tmp_path / "p", 3, per_group=1)
    for part in ("images", "masks"):
        (project / part / "b").mkdir()
        shutil.copy(project / part / "0.png", project / part / "b" / "0.png")
    with (project / "index.csv").open("a") as file:
        file.write("images/b/0.png,masks/b/0.png,other\n")
    begin(make_spec(project), folder)
    assert len({row.prediction for row in folder.rows}) == 4


def test_the_baselines_of_another_one_are_taken_over(
    tmp_path: Path, project: Path, folder: CrossfitFolder, make_spec: Make
) -> None:
    spec = make_spec(project)
    begin(spec, folder)
    other = CrossfitFolder(tmp_path / "deeper" / "other")
    with pytest.raises(CrossfitError, match=r"no prediction of images/0.png yet"):
        begin_from(folder, changed(folder.spec, clicks="fixed"), other)
    folder.predictions.mkdir()
    for row in folder.rows:
        write_mask(folder.predictions / row.prediction, np.zeros((64, 64), np.uint8))
    for fold in folder.folds:
        folder.run(fold, "baseline").path.mkdir()
    begin_from(folder, changed(folder.spec, clicks="fixed"), other)
    assert other.spec.clicks == "fixed"
    assert other.rows == folder.rows
    assert all((other.predictions / row.prediction).exists() for row in other.rows)
    records = read_project(other.fold(1) / "index.csv").records
    assert all(record.image.exists() for record in records)


@pytest.mark.parametrize("seed", range(4))
def test_every_fold_is_judged_by_an_image_with_something_in_it(
    tmp_path: Path, folder: CrossfitFolder, make_spec: Make, seed: int
) -> None:
    some = write_project(tmp_path / "rare", 10, per_group=1)
    for n in (0, 2, 3, 5, 8, 9):
        write_mask(some / f"masks/{n}.png", np.zeros((64, 64), np.uint8), overwrite=True)
    begin(make_spec(some, seed=seed), folder)
    labelled = {f"{n}.png" for n in (1, 4, 6, 7)}
    for fold in folder.folds:
        assert labelled & {row.image.split("/")[1] for row in folder.rows if row.fold == fold}
        records = read_project(folder.fold(fold) / "index.csv").records
        for side in ("training", "validation"):
            assert labelled & {r.image.name for r in records if r.split == side}


def test_networks_that_share_baselines_are_judged_by_the_same_images(
    project: Path, folder: CrossfitFolder, make_spec: Make, tmp_path: Path
) -> None:
    begin(make_spec(project), folder)
    folder.predictions.mkdir()
    other = CrossfitFolder(tmp_path / "other")
    # Whatever the choice would be by now, that of the baselines counts.
    begin_from(folder, changed(folder.spec, seed=5, validation_share=0.5), other, check=False)
    for fold in folder.folds:
        tables = [read_project(f.fold(fold) / "index.csv").records for f in (folder, other)]
        first, second = ({r.image.name: r.split for r in table} for table in tables)
        assert first == second
