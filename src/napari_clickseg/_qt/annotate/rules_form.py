"""Where objects overlap, how ids are given, and where regions are taken up from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.parts.controls import button, choice, form, key_text
from napari_clickseg._qt.parts.layer_choice import LayerChoice

if TYPE_CHECKING:
    from napari.layers.base import Layer

    from napari_clickseg._qt.annotate.form_context import FormContext

_RULES = [
    ("keep what is there", "keep"),
    ("overwrite what is there", "overwrite"),
    ("only on background", "background"),
]
_FROM_SHAPES = "Objects from shapes"


class RulesForm:
    """Chooses what accepting an object does."""

    def __init__(self, context: FormContext) -> None:
        self._context, self._state = context, context.state
        self.rule = choice(
            "Overlap",
            "What happens where an accepted object meets another one. 'only on background' never "
            "erases anything, not even when an object is corrected.",
            _RULES,
        )
        self.scheme = choice(
            "Ids",
            "Each object gets an id of its own, or the id of its class.",
            [("one per object", "instances"), ("one per class", "classes")],
        )
        self.source = LayerChoice(
            context.viewer,
            Labels,
            "Regions",
            "The labels layer whose regions can be taken up as a start, for example from another "
            f"program.\nShift + click, or {key_text(Action.TAKE_UP)} over a region.",
            wanted=self._is_source,
            none="annotation layer",
        )
        self.shapes = button(
            _FROM_SHAPES,
            "Each box, polygon or ellipse of the selected Shapes layer becomes an object: of the "
            "selected shapes, or of all where none is. Undo takes them back as one step.",
            context.controller.objects_from_shapes,
        )
        kept = button(
            "Where unsaved work is kept",
            "Says in which folder everything you make is kept as you make it, until it is saved.",
            self._say_where,
        )
        rules = form(self.rule, self.source.box, self.scheme)
        self.widget = form(rules, self.shapes, kept, labels=False)
        context.ties.tie(self.rule, "rule")
        context.ties.tie(self.scheme, "scheme")
        context.ties.show(self._show_source, "region_source", "annotation", "prediction")
        context.ties.show(self._show_shapes, "shapes")
        self.source.box.changed.connect(self._choose_source)

    def release(self) -> None:
        """Stop watching the viewer."""
        self.source.release()

    def _is_source(self, layer: Layer) -> bool:
        return not self._context.is_companion(layer)

    def _say_where(self) -> None:
        self._state.message = (
            f"Unsaved work is kept in {self._state.kept_in}. It is offered again when its image "
            "is annotated the next time."
        )

    def _show_shapes(self) -> None:
        done, wanted = self._state.shapes
        self.shapes.text = f"Cancel ({done} of {wanted})" if wanted else _FROM_SHAPES

    def _show_source(self) -> None:
        self.source.refresh()
        self.source.layer = self._state.region_source

    def _choose_source(self, layer: Labels | None) -> None:
        self._state.region_source = layer
