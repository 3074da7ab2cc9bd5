from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.data.sets.splits import Split, SplitError, folds, single_split

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
    by_fold = folds(groups, k, seed=seed)
    for split in by_fold:
        check(split, groups)
    assert sorted(i for split in by_fold for i in split.validation) == list(range(len(groups)))
    units = len(set(groups)) if len(set(groups)) > 1 else len(groups)
    assert len(by_fold) == min(k, units)
    assert by_fold == folds(groups, k, seed=seed)


CLASSES = st.lists(st.sets(st.integers(1, 3)), min_size=2, max_size=40)


def lacking(side: tuple[int, ...], classes: list[set[int]]) -> set[int]:
    return set().union(*classes) - set().union(*(classes[i] for i in side))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_labelled_is_on_both_sides(seed: int) -> None:
    classes = [{1} if i < 3 else set() for i in range(10)]  # the others are really empty
    split = single_split([str(i) for i in range(10)], seed=seed, classes=classes)
    assert not lacking(split.training, classes) | lacking(split.validation, classes)
    assert len(split.validation) == 2


@pytest.mark.parametrize("seed", range(20))
def test_a_class_in_two_groups_is_on_both_sides(seed: int) -> None:
    """However rare it is, and however few are validated on."""
    for count, share in ((10, 0.2), (200, 0.005)):
        classes = [{1, 2} if i % (count // 2) == 1 else {1} for i in range(count)]
        groups = [str(i) for i in range(count)]
        split = single_split(groups, share=share, seed=seed, classes=classes)
        assert not lacking(split.training, classes) | lacking(split.validation, classes)
        assert len(split.validation) == share * count


def test_more_is_validated_on_where_a_class_would_be_left_out() -> None:
    classes = [{1}, {1}, {2}, {2}, set()]
    split = single_split(list("abcde"), classes=classes)
    assert not lacking(split.training, classes) | lacking(split.validation, classes)
    assert len(split.validation) == 2, "and no more than that takes"


@settings(max_examples=30)
@given(classes=CLASSES, share=st.floats(0.01, 0.99), seed=st.integers(0, 9), data=st.data())
def test_a_split_that_knows_the_classes_is_one(
    classes: list[set[int]], share: float, seed: int, data: st.DataObject
) -> None:
    n = len(classes)
    groups = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n))
    split = single_split(groups, share=share, seed=seed, classes=classes)
    check(split, groups)
    assert split == single_split(groups, share=share, seed=seed, classes=classes)
    same = [{1} for _ in groups]  # what is everywhere decides nothing
    assert single_split(groups, share=share, seed=seed, classes=same) == single_split(
        groups, share=share, seed=seed
    )


@settings(max_examples=30)
@given(classes=CLASSES, k=st.integers(2, 9), seed=st.integers(0, 9), data=st.data())
def test_folds_that_know_the_classes_are_some(
    classes: list[set[int]], k: int, seed: int, data: st.DataObject
) -> None:
    n = len(classes)
    groups = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n))
    by_fold = folds(groups, k, seed=seed, classes=classes)
    for split in by_fold:
        check(split, groups)
    assert sorted(i for split in by_fold for i in split.validation) == list(range(n))
    assert by_fold == folds(groups, k, seed=seed, classes=classes)


@pytest.mark.parametrize("seed", range(10))
def test_every_fold_has_a_class_that_is_in_as_many_groups(seed: int) -> None:
    classes = [{1, 2} if i % 20 == 1 else {1} if i % 4 == 1 else set() for i in range(100)]
    by_fold = folds([str(i) for i in range(100)], 5, seed=seed, classes=classes)
    for split in by_fold:
        assert not lacking(split.training, classes) | lacking(split.validation, classes)
        assert len(split.validation) == 20


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
