"""Which choices in the Annotate widget are kept among the user's settings."""

from __future__ import annotations

from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._napari.viewer.settings import Groups, read_settings, save_settings

_GROUPS: Groups = {
    "model": ("model", "device", "half", "contrast_from_layer"),
    "objects": ("rule", "scheme"),
    "mask": ("threshold", "smooth", "fill_holes", "keep_clicked"),
    "look": ("shown", "opacity", "click_size", "previews"),
}
FIELDS = tuple(name for names in _GROUPS.values() for name in names)


def new_state() -> AnnotateState:
    """Make a state with the user's settings; with the defaults where they can't be read."""
    return AnnotateState(**read_settings(_GROUPS))


def remember(state: AnnotateState) -> None:
    """Write the choices in a state back to the settings; what can't be saved is skipped."""
    save_settings(state, _GROUPS)
