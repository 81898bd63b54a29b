import torch

from genlib.randomness import generator_for, seed_draws, seed_for


def test_a_place_has_one_seed_and_other_places_have_others():
    assert seed_for("draws", 0, 1) == seed_for("draws", 0, 1)
    assert len({seed_for("draws", 0, step) for step in range(100)}) == 100
    assert 0 <= seed_for("draws") < 2**63


def test_a_private_generator_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    torch.rand(3, generator=generator_for("here", 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_draws_are_those_of_torch_and_queue_nothing():
    torch.manual_seed(5)
    expected = torch.rand(3)
    queued = len(torch.cuda._queued_calls)
    seed_draws(5, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)
    assert len(torch.cuda._queued_calls) == queued
