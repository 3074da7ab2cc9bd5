"""A prediction is cleaned up without the model, and what was found is never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.cli import main
from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.masks import read_labels
from napari_clickseg.engine.slides import cleaning
from napari_clickseg.engine.slides.cleaning import clean_up
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.formats.omezarr import begin_labels, finish_labels, saved_in
from tests.core.test_cleanup import speckled

if TYPE_CHECKING:
    from pathlib import Path

RULES = CleanUp(1, 20, 30)


@pytest.fixture
def labels() -> np.ndarray:
    out = speckled(3, (130, 600))
    out[100, 3] = 9  # an object of one pixel
    return out


@pytest.fixture
def folder(tmp_path: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cleaning, "_SIDE", 100)
    out = tmp_path / "a.zarr"
    begin_labels(out, labels.shape, np.uint8)[:] = labels
    notes = Annotations(objects={n: ObjectNote(score=n / 10) for n in (1, 2, 3, 9)})
    finish_labels(out, AnnotatedImage("a", np.array([[1, 2, 3, 9]]), annotations=notes))
    return out


def test_what_is_cleaned_part_by_part_is_the_whole_cleaned_and_can_be_taken_back(
    folder: Path, labels: np.ndarray
) -> None:
    before = saved_in(folder)
    changes = clean_up(folder, RULES)
    wanted = cleaned(labels, RULES)
    assert changes is not None
    assert changes.changed == (wanted != labels).sum() > 0
    np.testing.assert_array_equal(read_labels(folder), wanted)
    assert CleanUp(**saved_in(folder)["cleanup"]) == RULES
    said = saved_in(folder)
    assert said is not None
    assert [one["id"] for one in said["objects"]] == [1, 2, 3], "9 is gone with its pixels"
    clean_up(folder, CleanUp(smallest=2))  # from what was found, not from what was cleaned
    np.testing.assert_array_equal(read_labels(folder), cleaned(labels, CleanUp(smallest=2)))
    clean_up(folder, CleanUp())
    np.testing.assert_array_equal(read_labels(folder), labels)
    again = saved_in(folder)
    assert again is not None
    assert before is not None
    assert again["objects"] == before["objects"]
    assert [path.name for path in folder.parent.iterdir()] == ["a.zarr"]


def test_what_is_stopped_or_wrong_leaves_everything_as_it_was(
    folder: Path, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = iter(range(9))
    assert clean_up(folder, RULES, stop=lambda: next(asked) == 3) is None
    np.testing.assert_array_equal(read_labels(folder), labels)
    assert main(["clean", str(folder), "--smooth", "99"]) == 2
    assert main(["clean", str(folder.parent), "--smooth", "1"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "clickseg: smooth goes from 0 to 10, not 99."
    assert "holds no labels that were written here as OME-Zarr" in said[1]
    assert len(said) == 2
    assert main(["clean", str(folder), "--smallest", "30"]) == 0
    assert "pixels cleaned up, 3 ids left" in capsys.readouterr().out
