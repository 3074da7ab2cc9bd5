from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.cli._compare import read_axes
from napari_clickseg.comparing.spec import (
    ComparisonError,
    ComparisonSpec,
    read_comparison_spec,
    shown,
    trials,
)
from napari_clickseg.training.spec import SpecError

if TYPE_CHECKING:
    from pathlib import Path


def spec(**vary: Any) -> ComparisonSpec:
    return read_comparison_spec(None, project="p", vary=vary)


def test_all_combinations_are_named_by_what_varies() -> None:
    listed = trials(spec(architecture=["unet", "fpn"], encoder_rate=[1, 0.1]))
    assert [trial.name for trial in listed] == [
        "architecture=unet,encoder_rate=1", "architecture=unet,encoder_rate=0.1",
        "architecture=fpn,encoder_rate=1", "architecture=fpn,encoder_rate=0.1",
    ]  # fmt: skip
    assert listed[1].values == {"architecture": "unet", "encoder_rate": 0.1}


def test_each_seed_is_a_training_of_its_own_and_one_seed_is_not_named() -> None:
    asked = read_comparison_spec(None, project="p", vary={"ema": [0, 0.9]}, seeds=[3, 4])
    assert [trial.name for trial in trials(asked)] == [
        "ema=0,seed=3", "ema=0.9,seed=3", "ema=0,seed=4", "ema=0.9,seed=4",
    ]  # fmt: skip
    assert len({trial.combination for trial in trials(asked)}) == 2


def test_names_of_folders_are_such_as_any_file_system_takes() -> None:
    long = {f"key_{n}": "x" * 30 for n in range(9)}
    listed = trials(spec(start=["C:/models\\a.safetensors", "c:/models/a safetensors"],
                        options=[long, long | {"more": 1}]))  # fmt: skip
    names = [trial.name for trial in listed]
    assert len({name.lower() for name in names}) == 4
    assert all(len(name) < 220 and not set(name) & set('\\/:*?"<>| ') for name in names)


def test_losses_are_written_as_sums() -> None:
    asked = spec(losses=["DiceLoss+0.5*FocalLoss", [{"name": "DiceLoss"}], "default"])
    first = {"name": "FocalLoss", "weight": 0.5, "options": {}}
    assert asked.vary["losses"][0][1] == first
    assert [shown(value) for value in asked.vary["losses"]] == [
        "DiceLoss+0.5*FocalLoss", "DiceLoss", "default",
    ]  # fmt: skip


def test_axes_of_the_command_line_may_hold_commas_of_their_own() -> None:
    axes = read_axes(
        [
            "architecture=unet, fpn",
            "encoder_rate=1,0.1",
            'options={"a":[1,2]},{}',
            'losses=[{"name":"DiceLoss"},{"name":"FocalLoss"}],JaccardLoss',
            "freeze_encoder=true,false",
        ]
    )
    assert axes["architecture"] == ["unet", "fpn"]
    assert axes["encoder_rate"] == [1, 0.1]
    assert axes["options"] == [{"a": [1, 2]}, {}]
    assert axes["losses"] == [[{"name": "DiceLoss"}, {"name": "FocalLoss"}], "JaccardLoss"]
    assert axes["freeze_encoder"] == [True, False]


@pytest.mark.parametrize("text", ["architecture", "=unet,fpn", "architecture="])
def test_an_axis_that_is_written_wrongly_is_refused(text: str) -> None:
    with pytest.raises((ComparisonError, SpecError)):
        read_comparison_spec(None, project="p", vary=read_axes([text]))


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        ({}, "Nothing varies"),
        ({"ema": [0.9]}, "one combination only"),
        ({"ema": []}, "no value"),
        ({"ema": [0.9, 0.90]}, "0.9 twice"),
        ({"architectur": ["unet", "fpn"]}, r"did you mean architecture\?"),
        ({"seed": [0, 1]}, "--seeds"),
        ({"task": ["binary", "click"]}, "can't be compared"),
        ({"validation_share": [0.2, 0.3]}, "same images"),
        ({"losses": ["two*DiceLoss", "FocalLoss"]}, "is not a loss"),
    ],
)
def test_what_can_not_be_compared_is_refused(vary: dict[str, Any], says: str) -> None:
    with pytest.raises(ComparisonError, match=says):
        spec(**vary)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"vary": {"ema": ["much", 0.9]}}, "ema: "),
        ({"vary": {"freeze_encoder": ["perhaps", True]}}, "freeze_encoder: "),
        ({"vary": {"encoder_rate": [1, 0]}}, "encoder_rate: "),
        ({"vary": {"ema": [0, 0.9]}, "sizes": 3}, "sizes: "),
        ({"vary": {"ema": [0, 0.9]}, "seeds": ["x"]}, "seeds"),
    ],
)
def test_values_of_a_wrong_type_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        read_comparison_spec(None, project="p", **fields)


def test_seeds_are_different_numbers() -> None:
    for seeds in ([1, 1], [-1, 2]):
        with pytest.raises(ComparisonError, match="seeds: "):
            read_comparison_spec(None, project="p", vary={"ema": [0, 0.9]}, seeds=seeds)


def test_a_file_holds_the_training_s_settings_beside_its_own(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"project": "p", "epochs": 3, "vary": {"ema": [0, 0.9]}}')
    asked = read_comparison_spec(path, epochs=4)
    assert (asked.training.epochs, asked.vary) == (4, {"ema": (0.0, 0.9)})
    path.write_text(asked.to_json())
    assert read_comparison_spec(path) == asked
