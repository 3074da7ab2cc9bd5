from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg._napari.train.crossfit_jobs import ClickSaver, see
from napari_clickseg._napari.train.jobs import TrainingOrder, inspect
from napari_clickseg.data.click_table import read_click_table
from tests.crossfit.conftest import NETWORK, write_project
from tests.crossfit.paused import paused

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg._napari.train.state import Check


def checked(project: Path, **settings: Any) -> Check:
    order = TrainingOrder(
        str(project), None, project, project, "", NETWORK | settings, crossfit=True, pause=True
    )
    return inspect(order, lambda: False, lambda *_: None)[1]


def test_the_plan_says_folds_and_trainings(tmp_path: Path) -> None:
    check = checked(write_project(tmp_path / "p", 6, per_group=2))
    assert "6 images into 3 folds" in check.plan and "7 trainings" in check.plan
    assert any("3 folds instead of 5" in one for one in check.warnings)


def test_more_folds_than_groups_are_refused_where_they_were_asked_for(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", 6, per_group=2)
    (error,) = checked(project, **{"crossfit.folds": 4}).errors
    assert "4 folds need 4 groups" in error and "there are 3" in error
    assert checked(project, **{"crossfit.folds": 4, "split_by": "image"}).errors == ()


def test_several_classes_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", 4, per_group=1)
    for path in (project / "masks").iterdir():
        mask = iio.imread(path)
        mask[:6, :6], mask[50:58, 4:9] = 2, 2
        iio.imwrite(path, mask)
    check = checked(project, scheme="classes")
    assert check.plan == "" and "choose one under Find" in check.errors[0]
    assert [number for number, _ in check.classes] == [1, 2]
    assert checked(project, scheme="classes", classes=(2,)).errors == ()
    assert checked(project, scheme="classes", whole=True).errors == ()


def test_too_few_images_and_empty_masks_are_refused(tmp_path: Path) -> None:
    few = write_project(tmp_path / "few", 2, per_group=1)
    assert "needs 3 annotated images" in checked(few).errors[0]
    empty = write_project(tmp_path / "empty", 4, per_group=1)
    for path in (empty / "masks").iterdir():
        iio.imwrite(path, np.zeros((64, 64), np.uint8))
    assert "No pixel is annotated" in checked(empty).errors[0]


def test_settings_of_the_usual_training_do_not_disturb(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", 4, per_group=1)
    assert checked(project, folds=3, fold=1, clicks="fixed", task="binary").errors == ()


def test_what_could_not_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paused(tmp_path / "out", tmp_path / "project")
    first, second = (row.image for row in folder.rows[:2])
    saver, table = ClickSaver(), read_click_table(folder.clicks)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    saver.keep(folder.path, first, table.by_image[first][:1])
    with monkeypatch.context() as disk:
        disk.setattr("napari_clickseg.runs.work_folder.write_whole", full)
        with pytest.raises(OSError, match="No space"):
            saver.write()
    assert read_click_table(folder.clicks) == table
    saver.keep(folder.path, second, ())
    saver.write()
    saver.write()
    after = read_click_table(folder.clicks).by_image
    assert len(after[first]) == 1 and second not in after
    assert see(folder.path, 0).placed == table.by_image[first]
    assert saver.pending(folder.path, first) is None
