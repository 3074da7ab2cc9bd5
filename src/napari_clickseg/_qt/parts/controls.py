"""Small parts that the forms are made of."""

from __future__ import annotations

import re
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, Label, PushButton
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action, tooltip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LINES = "clickseg-lines"  # property of a label: how many lines have their room
_BESIDE = 4  # pixels that a style leaves free beside the text of a combo box
_LONG_WORD = re.compile(r"\S{25,}")


class _OrderedChoice(ComboBox):
    """Offers what there is in its order; the base class puts what is new at the end."""

    def reset_choices(self, *args: Any) -> None:
        """Look what can be chosen now, and keep the choice if it still can."""
        before = self.value
        with self.changed.blocked():
            self.native.blockSignals(True)
            self.native.clear()
            self.native.blockSignals(False)
            super().reset_choices(*args)
            if before in self.choices:
                self.value = before
        if self.value != before:
            self.changed.emit(self.value)


class _Shortening(QObject):
    """Paints a combo box whose choice is too long for it with its beginning and its end.

    Qt cuts the end off, by which runs, and annotations of images, are told apart.
    """

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        if a1 is None or a1.type() != QEvent.Type.Paint or not isinstance(a0, QComboBox):
            return False
        style, option = a0.style(), QStyleOptionComboBox()
        a0.initStyleOption(option)
        assert style is not None
        whole, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(whole, option, field, a0).width() - _BESIDE
        middle = Qt.TextElideMode.ElideMiddle
        option.currentText = a0.fontMetrics().elidedText(option.currentText, middle, room)
        painter = QStylePainter(a0)
        painter.drawComplexControl(whole, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        return True


class _LooksAnew(QObject):
    """Has a box look what can be chosen now, when the user goes to choose."""

    def __init__(self, box: ComboBox) -> None:
        super().__init__(box.native)
        self._box = box

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        """Look before the list opens."""
        if a1 is not None and a1.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.KeyPress):
            self._box.reset_choices()
        return False


def looking_anew(box: ComboBox) -> ComboBox:
    """Have a box whose choices come and go outside of napari, too, list those there are now."""
    box.native.installEventFilter(_LooksAnew(box))
    return box


def key_text(action: Action) -> str:
    """Return an action's key as it is written on a button."""
    return SHORTCUTS[action].key.replace("-", "+")


def button(
    text: str, tip: str, pressed: Callable[[], Any] | None = None, *, toggles: bool = False
) -> PushButton:
    """Make a button that leaves the keyboard to the image, so that keys go on working."""
    made = PushButton(text=text, tooltip=tip)
    made.native.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.native.setCheckable(toggles)
    if pressed is not None:
        made.changed.connect(pressed, max_args=0)
    return made


def action_button(
    action: Action, do: Callable[[Action], None], *, text: str = "", toggles: bool = False
) -> PushButton:
    """Make the button of an action; it shows the key as well."""
    title = text or SHORTCUTS[action].title
    return button(
        f"{title} ({key_text(action)})",
        tooltip(action),
        None if toggles else lambda: do(action),
        toggles=toggles,
    )


def choice(
    label: str, tip: str, choices: Sequence[tuple[str, Any]] | Callable[[Any], Any] = ()
) -> ComboBox:
    """Make a combo box that long names don't widen, and in which no two choices read the same."""
    if callable(choices):
        look = choices
        made = _OrderedChoice(label=label, choices=lambda box: told_apart(look(box)), tooltip=tip)
    else:
        made = _OrderedChoice(label=label, choices=told_apart(choices), tooltip=tip)
    native = made.native
    assert isinstance(native, QComboBox)
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    native.setSizeAdjustPolicy(policy)
    native.setMinimumContentsLength(8)
    native.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    native.installEventFilter(_Shortening(native))
    return made


def told_apart(choices: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Give each choice a text of its own: where one is taken, the folder of the file is said, too.

    Of those that read the same a combo box would offer the last one only.
    """
    made: dict[str, Any] = {}
    for text, value in choices:
        folders = Path(value).parts[-2::-1] if isinstance(value, str) else ()
        ways = chain(
            [text],
            (f"{text} ({folder})" for folder in folders if folder not in text),
            (f"{text} ({n})" for n in count(2)),
        )
        made[next(way for way in ways if way not in made)] = value
    return list(made.items())


def form(*widgets: Any, labels: bool = True) -> Container[Any]:
    """Put widgets below one another, each with its label on the left."""
    made: Container[Any] = Container(widgets=widgets, labels=labels)
    set_margins(made.native, 0, 0, 0, 0)
    return made


def row(*widgets: Any) -> Container[Any]:
    """Put widgets beside one another; they share the width."""
    made: Container[Any] = Container(widgets=widgets, layout="horizontal", labels=False)
    set_margins(made.native, 0, 0, 0, 0)
    for widget in widgets:
        policy = widget.native.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.MinimumExpanding)
        widget.native.setSizePolicy(policy)
    return made


def stack(host: QWidget, *parts: Any) -> None:
    """Put widgets, of Qt or magicgui, below one another into one that has none yet."""
    column = QVBoxLayout(host)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for part in parts:
        column.addWidget(getattr(part, "native", part))


def note(tip: str, lines: int = 1) -> Label:
    """Make a text that wraps and so is never cut off; room for `lines` is kept."""
    made = Label(value="", tooltip=tip)
    native = made.native
    native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    native.setWordWrap(True)
    native.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    native.setMinimumHeight(lines * native.fontMetrics().lineSpacing())
    native.setProperty(_LINES, lines)
    return made


def reserve_lines(root: QWidget) -> None:
    """Keep the room for all notes' lines within `root`; needs the theme's font and margins."""
    for label in root.findChildren(QLabel):
        lines = label.property(_LINES)
        if lines:
            text, wide = label.text(), max(label.width(), 200)
            label.ensurePolished()
            label.setText("\n".join("x" * lines))
            label.setMinimumHeight(label.heightForWidth(wide))
            label.setText(text)


def keep_place(widget: QWidget) -> None:
    """Leave the room of a widget free while it is hidden: what is below stays where it is."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)


def align_labels(root: QWidget, to_come: Iterable[str] = ()) -> None:
    """Give all the labels left of a widget, in all forms within `root`, the same width.

    There is room for the texts `to_come` as well, of labels that are not made yet.
    """
    labels = []
    for label in root.findChildren(QLabel):
        around = label.parentWidget()
        layout = around.layout() if around is not None else None
        if isinstance(layout, QHBoxLayout) and layout.count() == 2:
            item = layout.itemAt(0)
            if item is not None and item.widget() is label and not label.wordWrap():
                label.ensurePolished()
                labels.append(label)
    width = max((label.sizeHint().width() for label in labels), default=0)
    if labels:
        long = labels[0].fontMetrics().horizontalAdvance
        # Those that were aligned before want the width that they were given then.
        beside = min(label.sizeHint().width() - long(label.text()) for label in labels)
        width = max([width, *(long(text) + beside for text in to_come)])
    for label in labels:
        label.setMinimumWidth(width)


def set_margins(
    widget: QWidget, left: int, top: int, right: int, bottom: int, *, spacing: int = 4
) -> None:
    layout = widget.layout()
    assert layout is not None
    layout.setContentsMargins(left, top, right, bottom)
    layout.setSpacing(spacing)


def breakable(text: str) -> str:
    """Allow line breaks within words too long for a narrow dock, such as paths."""
    return _LONG_WORD.sub(lambda word: re.sub(r"([/\\._-])", "\\1\u200b", word[0]), text)


def timer(parent: QObject, act: Callable[[], None], milliseconds: int, *, once: bool) -> QTimer:
    """Make a timer that is not running yet and ends with its parent."""
    made = QTimer(parent)
    made.setInterval(milliseconds)
    made.setSingleShot(once)
    made.timeout.connect(act)
    return made


def add_line(grid: QGridLayout, row: int, columns: int) -> list[QLabel]:
    """Add a line of labels to a table of figures; the first one is bold."""
    line = [QLabel() for _ in range(columns)]
    for column, label in enumerate(line):
        side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
        label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        label.setWordWrap(column == 0)
        font = label.font()
        font.setBold(row == 0)
        label.setFont(font)
        grid.addWidget(label, row, column)
    return line
