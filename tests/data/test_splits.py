from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.data.splits import Split, SplitError, folds, single_split

GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40)


def check(split: Split, groups: list[str]) -> None:
    assert sorted(split.training + split.validation) == list(range(len(groups)))
    assert split.training and split.validation
    assert split.leaks == (len(set(groups)) == 1)
    if not split.leaks:
        assert not {groups[i] for i in split.training} & {groups[i] for i in split.validation}


@given(groups=GROUPS, share=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_no_group_is_on_both_sides_and_no_side_is_empty(
    groups: list[str], share: float, seed: int
) -> None:
    split = single_split(groups, share=share, seed=seed)
    check(split, groups)
    assert split == single_split(groups, share=share, seed=seed)


@given(groups=GROUPS, k=st.integers(2, 9), seed=st.integers(0, 99))
def test_every_image_is_validated_on_in_one_fold(groups: list[str], k: int, seed: int) -> None:
    found = folds(groups, k, seed=seed)
    for split in found:
        check(split, groups)
    assert sorted(i for split in found for i in split.validation) == list(range(len(groups)))
    units = len(set(groups)) if len(set(groups)) > 1 else len(groups)
    assert len(found) == min(k, units)
    assert found == folds(groups, k, seed=seed)


def test_the_share_is_met_where_groups_allow_it() -> None:
    groups = [str(i // 4) for i in range(100)]
    assert len(single_split(groups, share=0.2).validation) == 20
    uneven = ["large"] * 50 + [f"{i}" for i in range(50)]
    assert abs(len(single_split(uneven, share=0.2).validation) - 20) <= 12


def test_folds_are_of_like_size() -> None:
    groups = [str(i % 23) for i in range(230)]
    sizes = [len(split.validation) for split in folds(groups, 5)]
    assert max(sizes) - min(sizes) <= 10
    assert folds(groups, 5) != folds(groups, 5, seed=1)


def test_images_of_one_specimen_are_split_but_it_is_said_that_this_leaks() -> None:
    assert single_split(["one"] * 9).leaks
    assert all(split.leaks for split in folds(["one"] * 9, 3))
    assert np.mean([len(split.validation) for split in folds(["one"] * 9, 3)]) == 3


@pytest.mark.parametrize("groups", [[], ["a"]])
def test_one_image_cannot_be_split(groups: list[str]) -> None:
    for split in (single_split, folds):
        with pytest.raises(SplitError, match="annotate another"):
            split(groups)


@pytest.mark.parametrize("share", [0.0, 1.0, -1, 2])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(SplitError, match="between 0 and 1"):
        single_split(["a", "b"], share=share)


def test_one_fold_is_refused() -> None:
    with pytest.raises(SplitError, match="2 or more"):
        folds(["a", "b"], 1)
