from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from default_model.crowds import crowd, rendered
from default_model.nuclei import SOURCES, held_out, write_project
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_groups_are_held_out_whole_and_none_is_in_two_splits() -> None:
    groups = [f"{i % 20}" for i in range(100)]
    splits = held_out(groups, 3)
    assert list(splits.values()).count("test") == 4
    assert list(splits.values()).count("validation") == 2
    assert splits == held_out(groups, 3) != held_out(groups, 4)


def test_objects_are_seen_in_what_is_drawn_of_them() -> None:
    labels = crowd(5, 96, 40)
    pictures = [rendered(labels, np.random.default_rng(seed)) for seed in range(12)]
    assert {picture.dtype for picture in pictures} == {np.dtype(np.uint8)}
    inside = [float(one[labels > 0].mean()) - float(one[labels == 0].mean()) for one in pictures]
    assert min(inside) < -5  # dark ones
    assert max(inside) > 5


def test_what_is_learned_from_is_one_project_and_knows_what_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for source in SOURCES:
        writer = ProjectWriter(tmp_path / "data" / source.name)
        writer.set_classes(ProjectClasses(scheme="instances"))
        for i in range(10):
            labels = crowd(i, 96, 20)
            writer.add(f"{i}", rendered(labels, rng), labels, group=f"{i // 2}")
    monkeypatch.setattr("default_model.nuclei.CROWDS", 10)
    write_project(tmp_path / "data", tmp_path / "project", 1)
    records = read_project(tmp_path / "project").records
    phase = [one for one in records if "bubil" in one.name]
    assert {one.complete for one in phase} == {False}
    assert {one.complete for one in records if "embryos" in one.name} == {True}
    splits: dict[str, set[str]] = {}
    for one in records:
        splits.setdefault(one.group, set()).add(one.split)
    assert all(len(some) == 1 for some in splits.values())
    resized = [one for one in records if "dsb2018" in one.name and one.name.count("-") == 2]
    assert {one.split for one in resized} == {"training"}
