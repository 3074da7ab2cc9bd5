"""Which choices in the Train widget are kept among the user's settings."""

from __future__ import annotations

from dataclasses import replace

from napari_clickseg._napari.train.state import TrainState
from napari_clickseg._napari.viewer.settings import Groups, read_settings, save_settings
from napari_clickseg.runs.home import default_home

_GROUPS: Groups = {"training": ("home",)}
FIELDS = tuple(name for names in _GROUPS.values() for name in names)


def new_state() -> TrainState:
    """Make a state with the user's settings; with the defaults where they can't be read."""
    return TrainState(**read_settings(_GROUPS))


def remember(state: TrainState) -> None:
    """Write the choices in a state back to the settings; what can't be saved is skipped."""
    usual = state.home == str(default_home())  # which may become another one
    save_settings(replace(state, home="") if usual else state, _GROUPS)
