import pytest
import torch
from torch.testing import assert_close

from genlib.methods.vq_vae.modules import VQDecoder, VQEncoder
from genlib.methods.vq_vae.quantizer import VectorQuantizer


def quantizer_at(codebook: torch.Tensor, **options) -> VectorQuantizer:
    """With a codebook whose codes are all in even use."""
    quantizer = VectorQuantizer(*codebook.shape, **options)
    quantizer.codebook.copy_(codebook)
    quantizer.counts.fill_(10.0)
    quantizer.sums.copy_(10 * codebook)
    return quantizer


CORNERS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def maps_of(vectors: torch.Tensor) -> torch.Tensor:
    """(N, D) => (1, D, 1, N)."""
    return vectors.T[None, :, None]


def test_each_vector_becomes_its_nearest_code():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(7, 3)
    encodings = torch.randn(2, 3, 4, 5)
    found = quantizer(encodings)
    distances = torch.cdist(encodings.permute(0, 2, 3, 1).reshape(-1, 3), quantizer.codebook)
    assert torch.equal(found.codes, distances.argmin(1).view(2, 4, 5))
    assert_close(found.quantized, quantizer.embed(found.codes))
    assert_close(found.commitment, distances.min(1).values.square().view(2, -1).mean(1) / 3, atol=1e-5, rtol=1e-4)


def test_gradients_go_straight_through_and_commit_the_encoder():
    quantizer = quantizer_at(CORNERS)
    encodings = maps_of(torch.tensor([[1.0, 0.0], [3.0, 1.0]])).requires_grad_()
    found = quantizer(encodings)
    (straight,) = torch.autograd.grad((found.quantized * 5).sum(), encodings, retain_graph=True)
    assert_close(straight, torch.full_like(encodings, 5.0))
    (committed,) = torch.autograd.grad(found.commitment.sum(), encodings)
    # The mean over 4 numbers of (z - e)^2.
    assert_close(committed, maps_of(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])) * 2 / 4)
    assert not list(quantizer.parameters())


def test_codes_move_to_the_moving_average_of_their_encodings():
    quantizer = quantizer_at(CORNERS, decay=0.9, least_usage=0.0)
    encodings = maps_of(torch.tensor([[1.0, 0.0], [1.0, 1.0], [5.0, 0.0]]))
    codes = quantizer(encodings).codes
    quantizer.update(**quantizer.statistics(encodings, codes))
    # Counts 0.9 * 10 + 0.1 * (2, 1, 0), sums 0.9 * 10 * code + 0.1 * sum of encodings.
    assert_close(quantizer.counts, torch.tensor([9.2, 9.1, 9.0]))
    expected = torch.tensor([[0.2 / 9.2, 0.1 / 9.2], [(36 + 0.5) / 9.1, 0.0], [0.0, 4.0]])
    assert_close(quantizer.codebook, expected, atol=1e-4, rtol=1e-4)


def skewed(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """200 encodings about the corners, (200, 2), and their codes: the first has 198, the next one each."""
    generator = torch.Generator().manual_seed(step)
    codes = torch.tensor([0] * 198 + [1, 2])
    return CORNERS[codes] + 0.3 * torch.randn(200, 2, generator=generator), codes


def test_the_first_update_makes_every_used_code_the_mean_of_its_encodings():
    """Without the bias of averages that begin at 0, and whatever share of even use a code has."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 2)
    vectors, codes = skewed(0)
    statistics = quantizer.statistics(maps_of(vectors), codes.view(1, 1, -1))
    quantizer.update(**statistics)
    expected = torch.stack([vectors[codes == code].mean(0) for code in range(3)])
    assert_close(quantizer.codebook[:3], expected)
    # The fourth was never used: it starts anew, at an encoding.
    assert (torch.cdist(quantizer.codebook[3:], vectors).min() < 1e-5).all()


def test_no_used_code_is_thrown_away_before_its_use_is_known():
    """Even use is 50 of 200, a tenth of it 5, and two codes have one each. All begin with even use, so that less than 5
    is known when 0.99^t 50 + (1 - 0.99^t) is: at t = 250, or a little before, for a code that started anew has a share
    in what the averages still lack.
    """
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 2)
    seen, weights, restarted = torch.zeros(3, 2), torch.zeros(3), []
    for step in range(300):
        vectors, codes = skewed(step)
        quantizer.update(**quantizer.statistics(maps_of(vectors), codes.view(1, 1, -1)))
        counts = torch.bincount(codes, minlength=3)
        sums = torch.zeros(3, 2).index_add(0, codes, vectors)
        seen, weights = 0.99 * seen + sums, 0.99 * weights + counts  # the means, weighted by 0.99^age
        expected = seen / weights[:, None]
        restarted += [step] if (quantizer.codebook[1:3] - expected[1:]).abs().max() > 1e-2 else []
        assert_close(quantizer.codebook[0], expected[0], atol=1e-4, rtol=1e-4)
    assert 200 < restarted[0] < 250


def test_codes_and_statistics_are_exact_under_autocast_too():
    quantizer, vectors = quantizer_at(CORNERS), torch.randn(1, 2, 5, 5) * 3
    expected = quantizer(vectors)
    torch.manual_seed(0)
    exact = quantizer.statistics(vectors, expected.codes)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = quantizer(vectors)
        statistics = quantizer.statistics(vectors, found.codes)
    assert_close(found, expected, rtol=0, atol=0)
    assert_close(statistics, exact, rtol=0, atol=0)


def test_a_code_that_was_never_used_stays_where_none_is_to_start_anew():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 2, least_usage=0.0)
    before = quantizer.codebook.clone()
    vectors, codes = skewed(0)
    for _ in range(3):
        quantizer.update(**quantizer.statistics(maps_of(vectors), codes.view(1, 1, -1)))
    assert torch.equal(quantizer.codebook[3], before[3])


def test_statistics_of_parts_are_those_of_the_whole():
    torch.manual_seed(0)
    one, two = quantizer_at(CORNERS, least_usage=0.0), quantizer_at(CORNERS, least_usage=0.0)
    encodings = torch.randn(4, 2, 3, 3) * 3
    whole = one.statistics(encodings, one(encodings).codes)
    parts = [two.statistics(part, two(part).codes) for part in encodings.split(2)]
    one.update(**whole)
    two.update(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    assert_close(two.codebook, one.codebook)


def test_dead_codes_start_anew_at_encodings_and_live_ones_stay():
    torch.manual_seed(0)
    far = torch.tensor([[0.0, 0.0], [100.0, 100.0]])
    quantizer = quantizer_at(far, decay=0.5, least_usage=0.2)
    encodings = maps_of(torch.randn(50, 2) * 0.1 + 1)
    for _ in range(3):
        quantizer.update(**quantizer.statistics(encodings, quantizer(encodings).codes))
    vectors = encodings[0, :, 0].T
    assert torch.cdist(quantizer.codebook[1:], vectors).min() < 0.2  # it is among the encodings now
    assert quantizer(encodings).codes.unique().tolist() == [0, 1]


def test_the_first_update_puts_every_code_among_the_data():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(16, 2)
    encodings = maps_of(torch.randn(200, 2) * 0.01 + 50)
    quantizer.update(**quantizer.statistics(encodings, quantizer(encodings).codes))
    assert (quantizer.codebook - 50).abs().max() < 0.1
    found = quantizer(encodings)
    counts = quantizer.statistics(encodings, found.codes)["counts"]
    assert quantizer.perplexity(counts) > 8


def test_perplexity_is_the_number_of_codes_in_even_use():
    quantizer = VectorQuantizer(4, 2)
    assert_close(quantizer.perplexity(torch.tensor([[3.0, 3, 3, 3]])), torch.tensor(4.0))
    assert_close(quantizer.perplexity(torch.tensor([[1.0, 0, 0, 0], [7.0, 0, 0, 0]])), torch.tensor(1.0))


@pytest.mark.parametrize("downsamplings", [1, 2])
def test_encoder_and_decoder_mirror_each_other(downsamplings):
    sizes = (8, 1, downsamplings, 3)
    side = 16 // 2**downsamplings
    codes = VQEncoder((3, 16, 16), *sizes)(torch.rand(2, 3, 16, 16))
    assert codes.shape == (2, 3, side, side)
    assert VQDecoder((3, 16, 16), *sizes)(codes).shape == (2, 3, 16, 16)


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="cannot be halved 2 times; use a multiple of 4"):
        VQEncoder((1, 10, 10), 8, 1, 2, 3)


@pytest.mark.parametrize("patches", [True, False])
def test_with_patches_an_encoding_is_of_its_own_square_alone(patches):
    encoder = VQEncoder((1, 12, 12), 8, 2, 2, 3, patches)
    images = torch.rand(1, 1, 12, 12)
    other = images.clone()
    other[..., 4:8, 4:8] = torch.rand(4, 4)
    moved = (encoder(images) != encoder(other)).any(1)[0]
    assert encoder(images).shape == (1, 3, 3, 3) and moved[1, 1]
    assert (moved.sum() == 1) == patches


def test_encodings_to_start_anew_at_are_chosen_by_their_squared_distance_from_their_codes():
    quantizer = VectorQuantizer(codes=4000, code_size=2)
    quantizer.codebook.zero_()
    encodings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]).T.reshape(1, 2, 2, 2)
    torch.manual_seed(0)
    candidates = quantizer.statistics(encodings, torch.zeros(1, 2, 2, dtype=torch.int64))["candidates"]
    assert candidates.shape == (4000, 2)
    assert (candidates == torch.tensor([0.0, 2.0])).all(1).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (candidates == torch.tensor([1.0, 0.0])).all(1).float().mean().item() == pytest.approx(0.2, abs=0.03)
    same = quantizer.statistics(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))["candidates"]
    assert not same.any()
