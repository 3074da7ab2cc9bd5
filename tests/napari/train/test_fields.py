from __future__ import annotations

from typing import Any

import pytest

from napari_clickseg._napari.train.fields import (
    GROUPS,
    Setting,
    checked,
    settings_of,
    text_of,
    value_of,
)
from napari_clickseg.training.spec import TASK_WORDS, SpecError, TrainingSpec

ALL = [setting for group in GROUPS for setting in settings_of(group)]


def setting(name: str) -> Setting:
    return next(one for one in ALL if one.name == name)


def test_every_field_of_the_spec_is_found_once_with_its_description() -> None:
    names = [one.name for one in ALL]
    assert sorted([*names, "project", "name"]) == sorted(TrainingSpec.model_fields)
    assert all(one.tip and one.label for one in ALL)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_default_survives_being_shown_and_read(one: Setting) -> None:
    if one.kind == "choice":
        assert one.default in [value for _, value in one.choices]
    elif one.kind == "text":
        value = value_of(one, text_of(one, one.default))
        assert checked({one.name: value}) == checked({})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "3e-4", 3e-4),
        ("classes", "1, 2", (1, 2)),
        ("epochs", "12", 12),
        ("class_weights", "balanced", "balanced"),
        ("class_weights", "0.2, 1", (0.2, 1)),
        ("options", '{"decoder_channels": [8, 4]}', {"decoder_channels": [8, 4]}),
        ("encoder", "tu-resnet10t", "tu-resnet10t"),
        ("losses", "DiceLoss", [{"name": "DiceLoss"}]),
        ("losses", "DiceLoss + 0.5 FocalLoss",
         [{"name": "DiceLoss"}, {"name": "FocalLoss", "weight": 0.5}]),
        ("losses", "2*DiceLoss+FocalLoss",
         [{"name": "DiceLoss", "weight": 2.0}, {"name": "FocalLoss"}]),
        ("losses", '[{"name": "FocalLoss", "options": {"gamma": 3}}]',
         [{"name": "FocalLoss", "options": {"gamma": 3}}]),
    ],
)  # fmt: skip
def test_what_is_typed_is_understood_and_shown_again(name: str, text: str, value: Any) -> None:
    one = setting(name)
    read = value_of(one, text)
    assert read == value
    spec = checked({name: read})
    shown = text_of(one, getattr(spec, name))
    assert getattr(checked({name: value_of(one, shown)}), name) == getattr(spec, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [("learning_rate", "fast"), ("classes", "one"), ("losses", "+"), ("losses", "[{"),
     ("losses", "1e DiceLoss"), ("options", "{")],
)  # fmt: skip
def test_what_can_not_be_understood_is_said_of_its_field(name: str, text: str) -> None:
    with pytest.raises(SpecError, match="(?i)" + name.split("_")[0]):
        value_of(setting(name), text)


def test_every_task_can_be_chosen_and_a_word_means_its_own_field_only() -> None:
    tasks = {value: text for text, value in setting("task").choices}
    assert tasks == TASK_WORDS
    schemes = {value: text for text, value in setting("scheme").choices}
    assert schemes["instances"] == "objects", "not what the task of that name is called"


def test_an_empty_text_is_the_default() -> None:
    assert value_of(setting("epochs"), " ") == 0
    assert value_of(setting("class_weights"), "") is None


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match="size"):
        checked({"size": 100})


def test_whole_numbers_keep_to_the_limits_of_the_spec() -> None:
    assert setting("accumulate").low == 1
    assert setting("size").kind == "text"
    assert setting("size").automatic == "from data"
