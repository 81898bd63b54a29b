import numpy as np
import pytest
import torch

from genlib.runtime.randomness import generator_for, seed_draws, seed_for, seed_wholly, stream_for

CPU = torch.device("cpu")


def test_a_place_has_one_seed_and_other_places_have_others():
    assert seed_for("draws", 0, 1) == seed_for("draws", 0, 1)
    assert len({seed_for("draws", 0, step) for step in range(100)}) == 100
    assert 0 <= seed_for("draws") < 2**63


@pytest.mark.parametrize("make", [generator_for, stream_for])
def test_a_private_generator_leaves_the_global_one_alone(make):
    before = torch.get_rng_state()
    torch.rand(3, generator=make("here", 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_draws_are_those_of_torch_and_queue_nothing():
    torch.manual_seed(5)
    expected = torch.rand(3)
    queued = len(torch.cuda._queued_calls)
    seed_draws(5, CPU)
    assert torch.equal(torch.rand(3), expected)
    assert len(torch.cuda._queued_calls) == queued


@pytest.mark.parametrize("high", [1 << 32, 1 << 33, 1 << 62, 5 << 40])
def test_seeds_that_differ_above_the_low_32_bits_only_draw_differently(high):
    """Where torch itself sees one seed."""
    assert torch.equal(*(torch.rand(9, generator=torch.Generator().manual_seed(seed)) for seed in (7, 7 + high)))
    drawn = []
    for seed in (7, 7 + high):
        seed_draws(seed, CPU)
        drawn.append(torch.randn(1000))
        assert torch.initial_seed() == seed
    assert abs(torch.corrcoef(torch.stack(drawn))[0, 1]) < 4 / 1000**0.5


def test_two_turns_of_a_run_that_torch_gives_the_same_draws_have_others():
    """The first two of 400,000 turns whose seeds have the same low 32 bits."""
    one, two = (seed_for("draws", 0, step, "discriminator", 0, 0) for step in (9562, 27143))
    assert one % 2**32 == two % 2**32 and one != two
    drawn = []
    for seed in (one, two):
        seed_draws(seed, CPU)
        drawn.append(torch.rand(5))
    assert not torch.equal(*drawn)
    places = [("draws", 0, step, "discriminator", 0, 0) for step in (9562, 27143)]
    assert not torch.equal(*(torch.rand(5, generator=stream_for(*place)) for place in places))


def test_a_whole_seed_is_the_twisters_key_and_nothing_else_of_its_state():
    """NumPy's MT19937 with the same key goes on alike, over several times its length, and a seed repeats its draws."""
    generator, seed = torch.Generator(), 3 * 2**40 + 11
    torch.randn(3, generator=generator)  # half a pair of normals is kept, until the seed
    seed_wholly(generator, seed)
    key = generator.get_state().view(torch.int64)[3:627].numpy().astype(np.uint32)
    theirs = np.random.RandomState()
    theirs.set_state(("MT19937", key, 624))
    ours = torch.randint(2**24, (2000,), generator=generator)
    assert ours.tolist() == [int(word) % 2**24 for word in theirs._bit_generator.random_raw(2000)]
    seed_wholly(generator, seed)
    assert torch.equal(torch.randint(2**24, (2000,), generator=generator), ours)
