"""The user's settings: kept by napari, read into a new state and written back.

The manifest's ``configurations`` declare them; napari shows them in its preferences and saves
them by itself.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._napari.train.state import TrainState

__all__ = ["FIELDS", "TRAIN_FIELDS", "new_state", "new_train_state", "remember", "remember_train"]

PLUGIN = "napari-clickseg"
_log = logging.getLogger(__name__)

# Fields of the state by the group of the manifest that declares them.
_GROUPS = {
    "model": ("model", "device", "half", "contrast_from_layer"),
    "objects": ("rule", "scheme"),
    "mask": ("threshold", "smooth", "fill_holes", "keep_clicked"),
    "look": ("shown", "opacity", "click_size"),
}
FIELDS = tuple(name for names in _GROUPS.values() for name in names)
_TRAINING: dict[str, tuple[str, ...]] = {"training": ("home",)}
TRAIN_FIELDS = tuple(name for names in _TRAINING.values() for name in names)


def new_state() -> AnnotateState:
    """Make a state with the user's settings; with the defaults where they can't be read."""
    return AnnotateState(**_read(_GROUPS))


def new_train_state() -> TrainState:
    """Make a state of the Train widget with the user's settings."""
    return TrainState(**_read(_TRAINING))


def remember(state: AnnotateState) -> None:
    """Write the choices in a state back to the settings; what can't be saved is skipped.

    Parameters
    ----------
    state : AnnotateState
        Its fields named in `FIELDS` are saved.
    """
    _save(state, _GROUPS)


def remember_train(state: TrainState) -> None:
    """Write the choices in a state of the Train widget back to the settings."""
    from napari_clickseg.runs.home import default_home

    usual = state.home == str(default_home())  # which may become another one
    _save(replace(state, home="") if usual else state, _TRAINING)


def _save(state: AnnotateState | TrainState, groups: dict[str, tuple[str, ...]]) -> None:
    settings = _plugin_settings()
    for group, names in groups.items():
        section = getattr(settings, group, None)
        for name in names:
            _write(section, name, getattr(state, name))


def _read(groups: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    settings = _plugin_settings()
    values = {}
    for group, names in groups.items():
        section = getattr(settings, group, None)
        values.update({name: getattr(section, name) for name in names if hasattr(section, name)})
    return values


def _write(section: Any, name: str, value: Any) -> None:
    if getattr(section, name, value) == value:
        return  # the same, or not there
    try:
        setattr(section, name, value)
    except (ValueError, OSError) as error:  # out of the declared range, or the disk is full
        _log.warning("The setting %s was not saved: %s", name, error)


def _plugin_settings() -> Any:
    """Return napari's settings of this plugin, or None."""
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(PLUGIN)
    except (KeyError, AttributeError, ValueError, OSError, AssertionError) as error:
        # Not registered as a plugin (run from a script), or the settings' file is broken.
        _log.warning("The settings can't be read, so the defaults are used: %s", error)
        return None
