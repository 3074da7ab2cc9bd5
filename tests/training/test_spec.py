from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.data.inspection.facts import Findings, ImageFacts
from napari_clickseg.training.defaults import completed, zoom
from napari_clickseg.training.spec import LossTerm, SpecError, TrainingSpec, read_spec, schema


def known(images: int = 9, shape: tuple[int, int] = (450, 540), channels: int = 1) -> Findings:
    """Return what would be found in a project of two classes, with objects of 50 pixels."""
    one = ImageFacts(
        name="a", group="a", split="", shape=shape, dtype="uint8", channels=channels, rgb=False,
        pixels={1: 900, 2: 300}, ignored=0, spans=((1, 50), (2, 30)), id_spans={1: 50, 2: 30},
    )  # fmt: skip
    return Findings((one,) * images, 0, "classes", None, 0)


def test_every_field_is_described() -> None:
    """The descriptions are the form's tooltips."""
    for name, field in [*TrainingSpec.model_fields.items(), *LossTerm.model_fields.items()]:
        assert field.description, name
        assert field.description.endswith("."), name


def test_nothing_but_the_project_has_to_be_said() -> None:
    spec = completed(TrainingSpec(project="p"), known())
    assert spec.epochs > 0
    assert spec.windows > 0
    assert spec.batch >= 2
    assert spec.scheme == "classes"
    assert spec.classes == (1, 2)
    assert spec.metric == "iou_clicks"
    assert spec.augmentation == "strong"
    assert spec.image_channels == 3


def test_what_was_said_stays() -> None:
    fields: dict[str, Any] = {
        "task": "binary", "epochs": 3, "windows": 5, "size": 96, "batch": 2, "image_channels": 4,
        "metric": "recall", "augmentation": "none", "scheme": "instances", "classes": (7,),
    }  # fmt: skip
    spec = TrainingSpec(project="p", **fields)
    assert completed(spec, known()) == spec


@given(
    images=st.integers(1, 10_000),
    side=st.integers(1, 50_000),
    channels=st.integers(1, 32),
    task=st.sampled_from(["click", "binary", "multiclass", "multilabel"]),
)
def test_what_is_chosen_is_a_spec_again(images: int, side: int, channels: int, task: Any) -> None:
    findings = known(images, (side, max(1, side // 3)), channels)
    spec = completed(TrainingSpec(project="p", task=task), findings)
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.size % 32 == 0
    assert spec.size >= 64
    assert completed(spec, findings) == spec
    assert spec.epochs * spec.windows <= 60_000


def test_an_image_is_shown_at_its_own_size_unless_its_objects_would_not_fit() -> None:
    spec = completed(TrainingSpec(project="p", task="binary", size=64), known())
    assert zoom(spec, known()) == pytest.approx(0.6 * 64 / 50)
    assert zoom(spec.changed(size=256), known()) == 1
    assert zoom(spec, Findings((), 0, "classes", None, 0)) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": 33}, "size"),
        ({"size": 32}, "64 pixels"),
        ({"batch": 1}, "two windows"),
        ({"epochs": -1}, "epochs"),
        ({"minuets": 3}, "minuets"),
        ({"losses": [{"name": "DiceLoss", "weight": 0}]}, "losses.0.weight"),
        ({"class_weights": "even"}, "class_weights"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_in_one_line(
    fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        read_spec(None, project="p", **fields)
    assert "\n" not in str(caught.value)


def test_a_file_is_read_and_some_fields_are_changed(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"project": "p", "epochs": 3, "losses": [{"name": "DiceLoss"}]}))
    spec = read_spec(path, epochs=5)
    assert (spec.epochs, spec.losses) == (5, (LossTerm(name="DiceLoss"),))
    assert spec.changed(seed=4).seed == 4
    with pytest.raises(SpecError, match="seed"):
        spec.changed(seed=-1)
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(SpecError, match="schema"):
            read_spec(path)
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path / "none.json")


def test_the_schema_in_the_documentation_is_current() -> None:
    """Written by `clickseg train --schema > docs/training-spec.schema.json`."""

    def said_once(some: dict[str, Any]) -> dict[str, Any]:
        # Versions of pydantic say a constant as a choice of one, too, or what is so anyway.
        some = {k: v for k, v in some.items() if not (k == "enum" and "const" in some)}
        return {k: v for k, v in some.items() if (k, v) != ("additionalProperties", True)}

    text = (Path(__file__).parents[2] / "docs/training-spec.schema.json").read_text()
    now = json.loads(json.dumps(schema()), object_hook=said_once)
    assert now == json.loads(text, object_hook=said_once)
