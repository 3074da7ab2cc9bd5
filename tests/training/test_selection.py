from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.training.selection import choose


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.integers(0, 4))
def test_images_that_hold_something_come_first_as_many_as_there_are(
    holding: list[bool], count: int, empties: int
) -> None:
    some, empty = choose(len(holding), holding.__getitem__, count, empties=empties)
    assert some == sorted(set(some))
    assert len(some) == min(count, sum(holding))
    assert len(empty) >= min(empties, len(holding) - sum(holding))
    assert all(holding[i] for i in some) and not any(holding[i] for i in empty)


def test_those_chosen_lie_all_over_the_set() -> None:
    some, _ = choose(64, lambda i: i % 2 == 1, 8)
    gaps = [b - a for a, b in zip([0, *some], [*some, 63], strict=True)]
    assert max(gaps) <= 16


def test_no_more_images_are_looked_at_than_it_takes() -> None:
    looked: list[int] = []
    choose(1000, lambda i: not looked.append(i), 8)
    assert len(looked) == 8
