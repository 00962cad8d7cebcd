"""Draws: counted by hand, and their order pinned."""

from collections import Counter

import numpy as np
import pytest

from radsweep.datasets.config import override
from radsweep.datasets.refusal import UserError
from radsweep.datasets.sampling import Draw, Order, Sampling

NUM_IMAGES = np.array([2, 1, 3, 1, 4])


def order(images: str, seed: int = 0, max_images: int = 12, num_images: int | None = None, views: int = 1) -> Order:
    """Five studies of 2, 1, 3, 1 and 4 images."""
    knobs = {"images": images, "max_images": max_images, "num_images": num_images}
    return Order(NUM_IMAGES, Sampling.model_validate(knobs), seed, views)


def test_the_first_ten_draws_of_seed_0_are_pinned() -> None:
    """What moves them moves every published metric and what a resumed trial sees: only on purpose, and in the CHANGELOG."""
    assert pinned("one") == [
        (2, ((2,),)),
        (4, ((0,),)),
        (3, ((0,),)),
        (0, ((0,),)),
        (1, ((0,),)),
        (1, ((0,),)),
        (4, ((3,),)),
        (3, ((0,),)),
        (0, ((1,),)),
        (2, ((1,),)),
    ]
    assert pinned("each") == [
        (2, ((1,),)),
        (3, ((0,),)),
        (4, ((0,),)),
        (1, ((0,),)),
        (0, ((0,),)),
        (2, ((0,),)),
        (2, ((2,),)),
        (4, ((3,),)),
        (4, ((2,),)),
        (4, ((1,),)),
    ]
    assert pinned("pooled") == [
        (2, ((0, 1, 2),)),
        (4, ((0, 1, 2, 3),)),
        (3, ((0,),)),
        (0, ((0, 1),)),
        (1, ((0,),)),
        (1, ((0,),)),
        (4, ((0, 1, 2, 3),)),
        (3, ((0,),)),
        (0, ((0, 1),)),
        (2, ((0, 1, 2),)),
    ]


def pinned(images: str) -> list[tuple[int, tuple[tuple[int, ...], ...]]]:
    """Study and images of the first ten draws of seed 0."""
    return [(draw.study, draw.images) for draw in order(images).draws(0, 10)]


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("images", ["first", "one", "each", "pooled"])
def test_every_epoch_visits_every_draw_once(images: str, views: int) -> None:
    """All visit each study once, but each visits every image once; epochs differ."""
    drawn = order(images, views=views)
    per_epoch = 11 if images == "each" else 5
    assert drawn.draws_per_epoch == per_epoch
    epochs = [drawn.draws(epoch * per_epoch, (epoch + 1) * per_epoch) for epoch in range(4)]
    for epoch in epochs:
        visits = Counter(draw.study for draw in epoch)
        assert visits == (dict(enumerate(NUM_IMAGES)) if images == "each" else dict.fromkeys(range(5), 1))
        for draw in epoch:
            assert len(draw.images) == views
            for view in draw.images:
                assert all(0 <= image < NUM_IMAGES[draw.study] for image in view)
                assert len(view) == (NUM_IMAGES[draw.study] if images == "pooled" else 1)
    if images == "each":
        assert all(len({(draw.study, draw.images[0]) for draw in epoch}) == 11 for epoch in epochs)
    if images == "first":
        assert {image for epoch in epochs for draw in epoch for view in draw.images for image in view} == {0}
    assert len({tuple(draw.study for draw in epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize("images", ["one", "each"])
def test_views_show_different_images_while_there_are_some(images: str) -> None:
    """The first view is that of the order with one view; a second one differs in all studies but those of a single image."""
    alone, both, three = (order(images, views=views).draws(0, 60) for views in (1, 2, 3))
    assert [draw.images[0] for draw in both] == [draw.images[0] for draw in alone]
    for draw in both:
        assert len(set(draw.images)) == min(2, NUM_IMAGES[draw.study])
    for draw in three:
        assert len(set(draw.images)) == min(3, NUM_IMAGES[draw.study])
    seconds = Counter(
        draw.images[1] for draw in order(images, views=2).draws(0, 3000) if draw.study == 4 and draw.images[0] == (1,)
    )
    expected = seconds.total() / 3
    assert set(seconds) == {(0,), (2,), (3,)}
    assert all(abs(count - expected) < 4 * (expected * 2 / 3) ** 0.5 for count in seconds.values())


def test_pooled_views_choose_some_images() -> None:
    """Two of four without replacement, each pair as often as the others; the second view holds the other two."""
    draws = Order(np.array([4]), Sampling(images="pooled", num_images=2), seed=1, views=2).draws(0, 1200)
    counts = Counter(draw.images[0] for draw in draws)
    assert set(counts) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert all(abs(count - 200) < 4 * (1200 / 6 * 5 / 6) ** 0.5 for count in counts.values())
    assert all(sorted(draw.images[0] + draw.images[1]) == [0, 1, 2, 3] for draw in draws)
    few = order("pooled", num_images=3, views=2).draws(0, 40)
    assert all(len(set(view)) == len(view) == min(3, NUM_IMAGES[draw.study]) for draw in few for view in draw.images)


def test_the_largest_view_is_known_beforehand() -> None:
    """One image, or as many as a pooled view may hold."""
    assert Sampling(images="each", num_images=3).most_images == 1
    assert Sampling(images="pooled").most_images == 12
    assert Sampling(images="pooled", num_images=4).most_images == 4
    assert Sampling(images="pooled", num_images=4, max_images=3).most_images == 3


def test_one_image_is_drawn_evenly() -> None:
    """Over many epochs every image of a study is drawn as often as the others: 1000 draws of 4, within four deviations."""
    drawn = Order(np.array([4]), Sampling(images="one"), seed=3)
    counts = Counter(draw.images for draw in drawn.draws(0, 1000))
    assert set(counts) == {((0,),), ((1,),), ((2,),), ((3,),)}
    assert all(abs(count - 250) < 4 * (1000 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_a_long_series_is_capped() -> None:
    """Only the first ``max_images`` images take part, in every way of sampling."""
    assert order("each", max_images=2).draws_per_epoch == 2 + 1 + 2 + 1 + 2
    for images in ("one", "each", "pooled"):
        drawn = order(images, max_images=2).draws(0, 200)
        assert max(image for draw in drawn for (view,) in [draw.images] for image in view) == 1
        assert max(len(draw.images[0]) for draw in drawn) == (2 if images == "pooled" else 1)
    with pytest.raises(UserError, match=r"max_images cannot be 0"):
        override(Sampling(), "max_images", 0)


@pytest.mark.parametrize("images", ["one", "each", "pooled"])
def test_the_order_is_a_function_of_the_position(images: str) -> None:
    """Any part of the order, asked for anew, backwards or in pieces of any size, is that part of the uninterrupted one."""
    whole = order(images).draws(0, 40)
    assert order(images).draws(17, 40) == whole[17:]
    backwards = order(images)
    assert [backwards.draws(i, i + 1)[0] for i in reversed(range(40))] == whole[::-1]
    assert order(images, seed=1).draws(0, 40) != whole


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_partition_every_batch(world_size: int) -> None:
    """The parts of all ranks, one after the other, are the batch: no draw twice, none lost, for any number of workers."""
    drawn, batch_size = order("one"), 8
    local = batch_size // world_size
    for step in range(5):
        first = step * batch_size
        parts = [drawn.draws(first + rank * local, first + (rank + 1) * local) for rank in range(world_size)]
        assert [draw for part in parts for draw in part] == drawn.draws(first, first + batch_size)


def test_every_visit_has_its_own_generator() -> None:
    """No two draws of a run share the seed of their augmentation, and another replicate has others."""
    seeds = [draw.seed for draw in order("each").draws(0, 55)] + [draw.seed for draw in order("each", seed=1).draws(0, 55)]
    assert len(set(seeds)) == 110
    assert isinstance(order("each").draws(0, 1)[0], Draw)


def test_a_budget_counts_image_report_pairs() -> None:
    """One pair for every image met: 11 an epoch where studies are pooled, whatever its order, and as many again by view."""
    assert list(order("one").batches(4, 10)) == [(0, 4), (1, 8), (2, 12)]
    assert list(order("each").batches(4, 8)) == [(0, 4), (1, 8)]
    assert list(order("one", views=2).batches(4, 10)) == [(0, 8), (1, 16)]
    assert list(order("pooled").batches(5, 30)) == [(0, 11), (1, 22), (2, 33)]
    assert list(order("pooled", views=2).batches(5, 30)) == [(0, 22), (1, 44)]
    assert list(order("pooled", max_images=2).batches(5, 9)) == [(0, 8), (1, 16)]
    assert list(order("pooled", num_images=3).batches(5, 11)) == [(0, 10), (1, 20)]
    assert list(order("one").batches(12, 30)) == [(0, 12), (1, 24), (2, 36)]


@pytest.mark.parametrize(("num_images", "views"), [(None, 1), (2, 1), (None, 2), (2, 2)])
def test_pooled_batches_count_their_own_images(num_images: int | None, views: int) -> None:
    """After every batch the pairs seen are the images of all draws so far, also across epochs."""
    drawn = order("pooled", num_images=num_images, views=views)
    told = list(drawn.batches(3, 40))
    for step, seen in told:
        assert seen == sum(len(view) for draw in drawn.draws(0, 3 * (step + 1)) for view in draw.images)
    assert told[-1][1] >= 40 > told[-2][1]
