from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from napari_clickseg.crossfit import figures
from napari_clickseg.crossfit.spec import changed, read_crossfit_spec
from napari_clickseg.training.spec import SpecError


def image(both: int, curve: list[float], *regions: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "generated": 1,
        "overlaps": {"baseline": [both, 10, 10], "no_clicks": [10, 10, 10], "clicks": [0, 0, 0]},
        "curve": curve,
        "regions": [
            dict(zip(("kind", "confidence", "right", "clicks", "right_without"), one, strict=False))
            for one in regions
        ],
    }


def test_image_wise_and_pooled_figures_differ() -> None:
    some = [image(10, [1.0]), image(0, [1.0])]
    some[1]["overlaps"]["baseline"] = [0, 80, 0]
    baseline = figures.summed_up(some)["baseline"]
    assert baseline["iou_imagewise"] == 0.5 and baseline["iou_pooled"] == pytest.approx(10 / 90)
    assert baseline["dice_imagewise"] == 0.5 and baseline["dice_pooled"] == pytest.approx(20 / 100)
    assert (baseline["good"], baseline["bad"]) == (0.5, 0.5)
    assert figures.summed_up(some)["clicks"]["iou_imagewise"] == 1.0  # rightly empty


def test_clicks_are_counted_from_none() -> None:
    some = [image(1, [0.95, 0.95, 0.95]), image(1, [0.1, 0.82, 0.9]), image(1, [0.0, 0.0, 0.0])]
    assert figures.noc(some) == {80: 1.0, 85: pytest.approx(4 / 3), 90: pytest.approx(4 / 3)}
    assert figures.curve(some) == pytest.approx([0.35, 0.59, 1.85 / 3])
    assert figures.curve(some, "dice")[0] == pytest.approx((1.9 / 1.95 + 0.2 / 1.1) / 3)


def test_obedience_counts_clicks_by_confidence() -> None:
    some = [image(1, [1.0], ("fn", 0.6, 1.0, 3), ("fn", 1.0, 0.2, 1), ("fp", 0.95, 0.5, 2))]
    rows = {(r["clicks"], r["low"], r["high"]): r for r in figures.obedience(some)}
    assert rows["positive", 0.5, 0.7]["obeyed"] == 1.0
    assert rows["positive", 0.9, 1.0] | {"right": 0} == {
        "clicks": "positive", "low": 0.9, "high": 1.0, "count": 1, "obeyed": 0.0, "right": 0,
        "count_wrong": None, "obeyed_wrong": None,
    }  # fmt: skip
    assert rows["positive", 0.5, 1.0]["obeyed"] == 0.75
    assert rows["negative", 0.5, 0.7]["obeyed"] is None
    assert rows["negative", 0.9, 1.0]["count"] == 2
    assert rows["all", 0.5, 1.0]["count"] == 6
    assert rows["all", 0.5, 1.0]["right"] == pytest.approx(1.7 / 3)


def test_what_was_right_without_clicks_shows_nothing_of_obedience() -> None:
    some = [
        image(
            1, [1.0], ("fn", 0.6, 1.0, 3, 0.9), ("fn", 0.6, 0.8, 2, 0.1), ("fp", 0.6, 0.4, 1, 0.4)
        ),
        image(1, [1.0], ("fp", 0.95, 1.0, 4, 0.5)),
    ]
    rows = {(r["clicks"], r["low"], r["high"]): r for r in figures.obedience(some)}

    def counted(*row: Any) -> tuple[Any, ...]:
        return tuple(rows[row][k] for k in ("count", "obeyed", "count_wrong", "obeyed_wrong"))

    assert counted("positive", 0.5, 0.7) == (5, 1.0, 2, 1.0)
    assert counted("negative", 0.5, 0.7) == (1, 0.0, 1, 0.0)
    assert counted("negative", 0.9, 1.0) == (4, 1.0, 0, None)
    assert counted("all", 0.5, 1.0) == (10, 0.9, 3, pytest.approx(2 / 3))


def test_settings_are_told_apart(tmp_path: Any) -> None:
    spec = read_crossfit_spec(None, project="p", folds=3, epochs=7, clicks="fixed")
    assert (spec.folds, spec.training.epochs, spec.training.folds) == (3, 7, 0)
    assert (spec.clicks, spec.training.clicks) == ("fixed", "simulated")
    (tmp_path / "spec.json").write_text(spec.to_json())
    assert read_crossfit_spec(tmp_path / "spec.json") == spec
    assert read_crossfit_spec(tmp_path / "spec.json", epochs=8).training.epochs == 8
    assert changed(spec, final=False, seed=3).training.seed == 3


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"project": "p", "epoch": 3}, "epoch: .*did you mean epochs"),
        ({"project": "p", "folds": 1}, "folds: .*--schema"),
        ({}, "project: .*--schema"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=f"^{reason}"):
        read_crossfit_spec(None, **fields)


@pytest.mark.parametrize("text", ["{", "[]", '{"training": 3}'])
def test_a_file_that_is_no_spec_is_refused(tmp_path: Any, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(SpecError, match="schema"):
        read_crossfit_spec(tmp_path / "spec.json")
    with pytest.raises(SpecError, match="cannot be read"):
        read_crossfit_spec(tmp_path / "none.json")


def test_the_folder_is_read_without_torch() -> None:
    code = (
        "import sys, napari_clickseg.crossfit.folder; "
        "sys.exit('torch' in sys.modules or 'qtpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
