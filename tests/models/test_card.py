from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_clickseg.models.card import (
    SCHEMA_VERSION,
    CardError,
    DataSource,
    ModelCard,
    WindowSpec,
)

MINIMAL = {"name": "m", "architecture": "unet", "encoder": "resnet18"}


def card(**fields: object) -> ModelCard:
    return ModelCard.model_validate(MINIMAL | fields)


@given(
    st.builds(
        card,
        name=st.text(max_size=20),
        image_channels=st.integers(1, 32),
        disk_radius=st.floats(0, 20),
        classes=st.lists(st.text(max_size=8), min_size=1, max_size=4),
        automatic=st.booleans(),
        options=st.just({"decoder_channels": [16, 8], "decoder_use_norm": True}),
        window=st.builds(WindowSpec, size=st.integers(1, 16).map(lambda n: 32 * n)),
        data=st.just((DataSource(name="set", images=3, licence="CC0"),)),
        metrics=st.dictionaries(st.text(max_size=5), st.floats(0, 1)),
    )
)
def test_a_card_survives_being_written_and_read(original: ModelCard) -> None:
    assert ModelCard.from_json(original.model_dump_json()) == original


@pytest.mark.parametrize(
    ("classes", "outputs"), [(("object",), 1), (("cell", "bud"), 3), (("a", "b", "c"), 4)]
)
def test_one_class_has_one_output_and_several_have_the_background_besides(
    classes: tuple[str, ...], outputs: int
) -> None:
    assert card(classes=classes).outputs == outputs


def test_what_a_later_version_added_within_the_schema_is_ignored() -> None:
    text = json.dumps(MINIMAL | {"schema_version": SCHEMA_VERSION, "colour_of_the_box": "red"})
    assert ModelCard.from_json(text) == card(schema_version=SCHEMA_VERSION)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read; get the file again"),
        ("nonsense", "cannot be read; get the file again"),
        ("[1, 2]", "cannot be read; get the file again"),
        ("null", "cannot be read; get the file again"),
        ("[" * 100_000, "cannot be read; get the file again"),
        (json.dumps(MINIMAL | {"schema_version": "new"}), "cannot be read"),
        ('{"schema_version": Infinity}', "cannot be read"),
        (json.dumps(MINIMAL | {"schema_version": 3}), "version 3.*update napari-clickseg"),
        ("{}", "not valid .*name.*get the file again"),
        (json.dumps(MINIMAL | {"image_channels": 33}), "image_channels"),
        (json.dumps(MINIMAL | {"image_channels": 0}), "image_channels"),
        (json.dumps(MINIMAL | {"encoding": "smell"}), "encoding"),
        (json.dumps(MINIMAL | {"encoding": "colour"}), "takes one image channel"),
        (json.dumps(MINIMAL | {"classes": []}), "1 to 255 classes"),
        (json.dumps(MINIMAL | {"classes": ["c"] * 256}), "1 to 255 classes"),
        (json.dumps(MINIMAL | {"window": {"size": 100}}), "window.size.*multiple of 32"),
        (json.dumps(MINIMAL | {"window": {"size": 2**40}}), "window.size"),
        (json.dumps(MINIMAL | {"window": {"margin": float("inf")}}), "window.margin"),
        (json.dumps(MINIMAL | {"disk_radius": float("nan")}), "disk_radius"),
        (json.dumps(MINIMAL | {"intensity_trim": 0.5}), "intensity_trim"),
    ],
)
def test_a_card_that_cannot_be_used_says_why_in_one_line(text: str, says: str) -> None:
    with pytest.raises(CardError, match=says) as caught:
        ModelCard.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_card_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        card().name = "other"  # type: ignore[misc]
