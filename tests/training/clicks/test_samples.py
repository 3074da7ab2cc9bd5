from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from scipy import ndimage

from default_model.generated import draw_objects, generated_sample, superpixels
from default_model.pool import Pool, load_folder
from napari_clickseg.training.clicks.photometric import augment_intensity, estrange
from napari_clickseg.training.clicks.record import TrainingImage, make_record
from napari_clickseg.training.clicks.samples import Subject, View

if TYPE_CHECKING:
    from pathlib import Path


def disk_image(rng: np.random.Generator, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Two bright disks on a dark ground, with their ids."""
    labels = np.zeros((size, size), np.uint8)
    y, x = np.mgrid[:size, :size]
    for identifier, middle in ((1, 0.3), (2, 0.7)):
        cy, cx = rng.uniform(-4, 4, 2) + size * np.array([middle, 0.5])
        labels[np.hypot(y - cy, x - cx) < size * 0.12] = identifier
    image = np.where(labels > 0, 180, 60) + rng.normal(0, 8, labels.shape)
    return image.clip(0, 255).astype(np.uint8), labels


def write_folder(folder: Path, n: int, *, seed: int = 0, empty: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "group"])
        for i in range(n + empty):
            image, labels = disk_image(rng)
            if i >= n:
                labels[:] = 0
            iio.imwrite(folder / f"{i}.png", image)
            iio.imwrite(folder / f"{i}_mask.png", labels)
            writer.writerow([f"{i}.png", f"{i}_mask.png", i])
    return folder


def self_portrait(labels: np.ndarray) -> TrainingImage:
    """A record whose image shows its only object, so image and target must stay alike."""
    image = np.repeat((labels > 0).astype(np.uint8)[None] * 255, 3, 0)
    return TrainingImage(image, labels.astype(np.int32), (1,))


# Records


def test_a_record_is_the_image_as_the_network_will_see_it() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 50), np.uint16)
    labels[2:12, 2:12] = 7
    labels[20:22, 20:22] = 9  # too small to learn from
    image = rng.normal(1000, 100, (40, 50)).astype(np.float32)
    record = make_record(image, labels)
    assert record is not None
    assert record.identifiers == (7,)
    assert record.image.shape == (3, 40, 50)
    assert record.image.dtype == np.uint8
    assert (record.image.min(), record.image.max()) == (0, 255)
    np.testing.assert_array_equal(record.image[0], record.image[2])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_number_of_channels_become_three(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 20, channels), np.uint8)
    record = make_record(image, np.ones((20, 20), np.uint8))
    assert record is not None
    assert record.image.shape == (3, 20, 20)


def test_an_image_without_an_object_is_no_record() -> None:
    image = np.zeros((20, 20), np.uint8)
    assert make_record(image, np.zeros((20, 20), np.uint8)) is None


def test_labels_of_another_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match="one id for each pixel"):
        make_record(np.zeros((20, 20), np.uint8), np.zeros((20, 20, 3), np.uint8))


# Pools


def test_a_folder_gives_its_images_with_objects(tmp_path: Path) -> None:
    records = load_folder(write_folder(tmp_path, 3, empty=2))
    assert [record.identifiers for record in records] == [(1, 2)] * 3


def test_sets_are_drawn_by_the_square_root_of_their_size_and_the_shares(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("large", "small", "empty")]
    for folder, n in zip(folders, (9, 1, 0), strict=True):
        folder.mkdir()
        write_folder(folder, n, empty=1)
    shares = (0.15, 0.15, 0.1)
    pool = Pool(folders, generated=3, superpixel_images=2, composed=4, shares=shares)
    assert pool.names == ["large", "small", "generated", "superpixels", "composed"]
    assert pool.weights == pytest.approx([0.6 * 3 / 4, 0.6 * 1 / 4, *shares])
    drawn = pool.draw(np.random.default_rng(0), 400)
    (small,) = pool.sets[1]
    assert sum(record is small for record in drawn) / 400 == pytest.approx(0.15, abs=0.05)


def test_what_is_not_there_is_not_drawn(tmp_path: Path) -> None:
    generated = Pool([], generated=2, superpixel_images=5)
    assert generated.names == ["generated"]
    real = Pool([write_folder(tmp_path, 2)], generated=0, superpixel_images=0)
    assert real.names == [tmp_path.name]
    assert len(real.draw(np.random.default_rng(0), 5)) == 5
    with pytest.raises(ValueError, match="no image to train on; give folders"):
        Pool([], generated=0)


def test_a_share_of_what_is_not_there_goes_to_the_real_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 2)
    pool = Pool([folder], generated=2, superpixel_images=0, composed=0, shares=(0.25, 0.2, 0.2))
    assert pool.names == [tmp_path.name, "generated"]
    assert pool.weights == pytest.approx([0.75, 0.25])


def test_made_images_are_made_anew_and_real_ones_stay(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 2)

    def pool(renewed: float) -> Pool:
        return Pool([folder], generated=2, superpixel_images=2, composed=2, renewed=renewed)

    kept, renewed = pool(0.0), pool(0.5)
    before = [list(records) for records in renewed.sets]
    for some in (kept, renewed):
        some.draw(np.random.default_rng(0), 200)
    assert renewed.sets[0] == before[0]
    for old, new, same in zip(before[1:], renewed.sets[1:], kept.sets[1:], strict=True):
        assert not any(record is other for record in new for other in old)
        for record, again in zip(old, same, strict=True):
            np.testing.assert_array_equal(record.image, again.image)


def test_all_objects_that_look_alike_are_sometimes_wanted_as_one() -> None:
    image = np.full((3, 60, 60), 20, np.uint8)
    labels = np.zeros((60, 60), np.int32)
    for identifier, (top, value) in enumerate([(2, 200), (22, 210), (42, 90)], 1):
        labels[top : top + 10, 5:25] = identifier
        image[:, top : top + 10, 5:25] = value
    record = TrainingImage(image, labels, (1, 2, 3))
    rng = np.random.default_rng(0)

    def wanted(together: bool) -> list[set[int]]:
        drawn = (Subject.draw(record, rng, together=together) for _ in range(400))
        return [set(np.unique(labels[subject.mask]).tolist()) for subject in drawn]

    some = wanted(True)
    assert 0.03 < some.count({1, 2}) / 400 < 0.15
    assert some.count({1, 3}) < some.count({1, 2})
    assert {1, 2, 3} not in some
    assert all(len(ids) == 1 for ids in wanted(False))


def test_a_pool_is_decided_by_its_seed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 2)
    first, again, other = (
        Pool([folder], seed=seed, generated=2, superpixel_images=2, composed=2)
        for seed in (3, 3, 4)
    )
    for a, b in zip(first.sets, again.sets, strict=True):
        for one, two in zip(a, b, strict=True):
            np.testing.assert_array_equal(one.image, two.image)
            np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(first.sets[1][0].image, other.sets[1][0].image)


# Windows


def windows(
    records: list[TrainingImage], size: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut a window of any zoom from each image."""
    images, targets = [], []
    for record in records:
        subject = Subject.draw(record, rng)
        image, target = subject.cut(subject.placed(subject.any_view(rng), size, rng), size)
        images.append(image)
        targets.append(target)
    return torch.cat(images), torch.cat(targets)


@pytest.mark.parametrize(("shape", "size"), [((90, 120), 64), ((700, 500), 32), ((20, 33), 64)])
def test_image_and_target_are_moved_together(shape: tuple[int, int], size: int) -> None:
    """Rotated, mirrored, stretched, reduced or enlarged: the object stays on its pixels."""
    labels = np.zeros(shape, np.int32)
    h, w = shape
    labels[h // 4 : h // 2, w // 3 : w // 2] = 1
    labels[h // 2 : h // 2 + h // 8, w // 3 : w // 3 + w // 4] = 1
    record = self_portrait(labels)
    image, target = windows([record] * 40, size, np.random.default_rng(0))
    assert image.shape == (40, 3, size, size)
    assert target.shape == (40, 1, size, size)
    assert set(target.unique().tolist()) == {0.0, 1.0}
    shown = (image > 0.5).float()
    assert (shown != target).float().mean() < 1e-3
    assert (target.sum((1, 2, 3)) > 0).float().mean() > 0.95


def test_the_object_is_shown_at_many_zooms_but_never_lost_in_the_window() -> None:
    labels = np.zeros((400, 400), np.int32)
    labels[180:220, 190:230] = 1
    _, target = windows([self_portrait(labels)] * 100, 64, np.random.default_rng(0))
    sides = target.sum((1, 2, 3)).sqrt() / 64
    assert sides.quantile(0.1) < 0.35
    assert sides.quantile(0.9) > 0.55


def test_beyond_the_image_is_black() -> None:
    labels = np.zeros((30, 300), np.int32)
    labels[10:20, 100:130] = 1
    record = TrainingImage(np.full((3, 30, 300), 255, np.uint8), labels, (1,))
    image, target = windows([record] * 20, 64, np.random.default_rng(1))
    assert (image.amin((1, 2, 3)) == 0).float().mean() > 0.5
    assert (image[target.expand_as(image) > 0] > 0.99).all()


def test_targets_are_whole_objects_or_their_pieces() -> None:
    """An id in two pieces is wanted whole or as one piece, never as something else."""
    labels = np.zeros((100, 100), np.int32)
    labels[20:40, 20:40] = labels[60:70, 60:70] = 1
    record = TrainingImage(np.zeros((3, 100, 100), np.uint8), labels, (1,))
    from scipy import ndimage

    _, target = windows([record] * 80, 64, np.random.default_rng(0))
    pieces = [ndimage.label(t[0] > 0)[1] for t in target.numpy()]
    assert set(pieces) == {1, 2}


def test_windows_are_decided_by_the_seed() -> None:
    record = make_record(*disk_image(np.random.default_rng(0)))
    assert record is not None
    first, again = (windows([record] * 6, 32, np.random.default_rng(9)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize("seed", range(8))
def test_a_moved_view_shows_the_same_pixels_where_it_says(seed: int) -> None:
    """However the object is turned: `between` maps the new window onto the old one."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((200, 160), np.int32)
    labels[60:140, 50:110] = 1
    ramp = np.broadcast_to(np.mgrid[:200, :160].sum(0), (3, 200, 160)).astype(np.uint8)
    subject = Subject.draw(TrainingImage(np.ascontiguousarray(ramp), labels, (1,)), rng)
    old, new = View(np.array([100.0, 80.0]), 90.0), View(np.array([108.0, 74.0]), 40.0)
    size = 64
    factor, offset = subject.between(old, new)
    theta = torch.tensor([[factor, 0, offset[0]], [0, factor, offset[1]]], dtype=torch.float32)
    grid = torch.nn.functional.affine_grid(theta[None], [1, 3, size, size], align_corners=False)
    before, now = subject.cut(old, size)[0], subject.cut(new, size)[0]
    moved = torch.nn.functional.grid_sample(before, grid, align_corners=False)
    assert (moved - now).abs().max() < 4 / 255
    assert (before - now).abs().max() > 10 / 255


def test_changing_intensities_keeps_the_range_and_changes_each_image_on_its_own() -> None:
    image = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    changed = augment_intensity(image, torch.Generator().manual_seed(1))
    assert torch.equal(image, before)
    assert ((changed >= 0) & (changed <= 1)).all()
    difference = (changed - image).abs().mean((1, 2, 3))
    assert difference.min() < difference.max()
    assert difference.mean() > 0.05
    again = augment_intensity(image, torch.Generator().manual_seed(1))
    assert torch.equal(changed, again)


def test_an_estranged_image_keeps_its_borders_and_about_its_contrast() -> None:
    image = torch.full((40, 3, 32, 32), 0.3)
    image[:, :, 8:24, 8:24] = 0.6
    changed = estrange(image, torch.Generator().manual_seed(0))
    assert changed.shape == image.shape
    assert ((changed >= 0) & (changed <= 1)).all()
    assert (changed - image).abs().mean((1, 2, 3)).min() > 0.003
    # What is flat stays flat away from borders, which no filter reaches further than by 3 pixels.
    for part in (changed[:, :, 12:20, 12:20], changed[:, :, :4, :]):
        assert part.std((2, 3)).max() < 1e-3
    seen = (changed[:, :, 15, 15] - changed[:, :, 1, 1]).abs().amax(1)
    assert (seen > 0.1).float().mean() > 0.9
    again = estrange(image, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)


def test_an_image_of_one_value_can_be_estranged() -> None:
    changed = estrange(torch.full((4, 3, 16, 16), 0.5), torch.Generator().manual_seed(0))
    assert changed.isfinite().all()


# Generated images


@pytest.mark.parametrize("seed", range(12))
def test_a_generated_image_has_objects_on_its_pixels(seed: int) -> None:
    image, labels = generated_sample(np.random.default_rng(seed), 96)
    assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((96, 96), np.int32)
    assert labels.min() >= 0
    assert image.std() > 1
    again, _ = generated_sample(np.random.default_rng(seed), 96)
    np.testing.assert_array_equal(image, again)


def test_most_generated_images_are_of_use() -> None:
    samples = (generated_sample(np.random.default_rng(seed), 96) for seed in range(20))
    assert sum(make_record(*sample) is not None for sample in samples) >= 16


def test_some_generated_objects_are_thin_and_long() -> None:
    thin = 0
    for seed in range(40):
        _, labels = generated_sample(np.random.default_rng(seed))
        inside = ndimage.distance_transform_edt(labels == 1)[labels == 1]
        rows, columns = np.nonzero(labels == 1)
        wide = max(np.ptp(rows), np.ptp(columns)) if rows.size else 0
        thin += bool(wide > 50 and 20 * inside.mean() < wide)
    assert 5 <= thin <= 25


def test_superpixels_cover_the_image_and_follow_its_edges() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, 30:] = 200
    labels = superpixels(image, np.random.default_rng(0))
    assert labels.min() == 1
    assert math.prod(labels.shape) == 3600
    assert not set(np.unique(labels[:, :28])) & set(np.unique(labels[:, 32:]))


def test_some_generated_objects_have_an_inside_of_their_own() -> None:
    holes = 0
    for seed in range(60):
        labels = draw_objects(np.random.default_rng(seed), 96)
        for identifier in np.unique(labels)[1:]:
            filled = ndimage.binary_fill_holes(labels == identifier)
            inside = labels[filled & (labels != identifier)]
            holes += inside.size > 20 and bool((inside == identifier + 1).all())
    assert holes >= 4
