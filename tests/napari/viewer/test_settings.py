from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from npe2 import PluginManifest

from napari_clickseg._napari.annotate import settings
from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._napari.train import settings as train_settings
from napari_clickseg._napari.train.state import TrainState

if TYPE_CHECKING:
    from npe2 import DynamicPlugin

PLUGIN = "napari-clickseg"
MANIFEST = PluginManifest.from_file(Path(settings.__file__).parents[2] / "napari.yaml")


@pytest.fixture
def registered(plugin_settings: None, npe2pm: Any) -> DynamicPlugin:
    """The plugin with its settings in a folder of the test's own."""
    npe2pm.register(MANIFEST)
    return npe2pm


def declared() -> dict[str, Any]:
    return {
        key: prop
        for group in (MANIFEST.contributions.configurations or {}).values()
        for key, prop in group.properties.items()
    }


def test_every_declared_setting_is_a_field_of_the_state_with_the_same_default() -> None:
    states = {settings.FIELDS: AnnotateState(), train_settings.FIELDS: TrainState()}
    assert set(declared()) == {name for names in states for name in names}
    for names, state in states.items():
        assert set(names) <= {field.name for field in fields(state)}
        for name in names:
            assert declared()[name].default == getattr(state, name), name


@pytest.mark.usefixtures("registered")
def test_without_saved_settings_a_state_has_the_defaults() -> None:
    assert settings.new_state() == AnnotateState()


@pytest.mark.usefixtures("registered")
def test_the_usual_folder_of_runs_is_not_written_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path / "usual"))
    train_settings.remember(TrainState(home=str(tmp_path / "other")))
    assert train_settings.new_state().home == str(tmp_path / "other")
    train_settings.remember(TrainState(home=str(tmp_path / "usual")))
    assert train_settings.new_state().home == ""


@pytest.mark.usefixtures("registered")
def test_what_is_remembered_is_in_the_next_state() -> None:
    state = AnnotateState(
        model="/models/mine.safetensors",
        device="cpu",
        half=False,
        rule="overwrite",
        scheme="classes",
        threshold=0.3,
        smooth=2.0,
        fill_holes=True,
        shown="contour",
        opacity=0.9,
        click_size=20,
    )
    settings.remember(state)
    assert settings.new_state() == state


@pytest.mark.usefixtures("registered")
def test_only_lasting_choices_are_remembered() -> None:
    settings.remember(AnnotateState(message="hello", tool=True, object_id=7, busy=True))
    assert settings.new_state() == AnnotateState()


@pytest.mark.usefixtures("registered")
def test_a_value_out_of_its_range_is_not_saved_and_nothing_is_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        settings.remember(AnnotateState(opacity=7.0, device="tpu", smooth=1.0))
    assert settings.new_state() == AnnotateState(smooth=1.0)
    assert "opacity" in caplog.text
    assert "device" in caplog.text


@pytest.mark.usefixtures("plugin_settings")
def test_a_plugin_that_napari_does_not_know_has_the_defaults() -> None:
    """As in a script that makes the widget by itself."""
    assert settings.new_state() == AnnotateState()
    settings.remember(AnnotateState(smooth=1.0))


@pytest.mark.parametrize("text", ["[1, 2]", "mask: {threshold: high}", "::: {", "\0"])
@pytest.mark.usefixtures("registered")
def test_a_broken_file_of_settings_gives_the_defaults(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{PLUGIN}.yaml").write_text(text)
    assert settings.new_state() == AnnotateState()
