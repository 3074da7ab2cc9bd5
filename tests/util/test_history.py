from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.util.history import History

STEPS = st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["undo", "redo"])), max_size=30)


@given(STEPS)
def test_a_history_walks_along_its_values_as_a_cursor_along_a_list(steps: list[int | str]) -> None:
    history, values, at = History(0), [0], 0
    for step in steps:
        if step == "undo":
            history, at = history.undo(), max(0, at - 1)
        elif step == "redo":
            history, at = history.redo(), min(len(values) - 1, at + 1)
        else:
            history, values, at = history.step(int(step)), [*values[: at + 1], int(step)], at + 1
        assert history.present == values[at]
        assert history.past == tuple(values[:at])
        assert history.future == tuple(reversed(values[at + 1 :]))
        assert (history.can_undo, history.can_redo) == (at > 0, at < len(values) - 1)
