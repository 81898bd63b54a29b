import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from genlib.methods.vq_vae.transformer import CodeTransformer


def tiny(classes: int = 0, **options) -> CodeTransformer:
    torch.manual_seed(0)
    network = CodeTransformer(codes=5, positions=6, width=8, layers=2, heads=2, classes=classes, **options)
    for parameter in network.parameters():  # far from the small values of the start
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    return network


def test_logits_depend_on_earlier_codes_alone():
    network = tiny()
    codes = torch.randint(5, (3, 6))
    for position in range(6):
        others = codes.clone()
        others[:, position:] = (others[:, position:] + 1) % 5
        before, after = network(codes), network(others)
        assert_close(after[:, : position + 1], before[:, : position + 1])
        if position < 5:
            assert (after[:, position + 1] - before[:, position + 1]).abs().max() > 1e-3


def test_the_label_stands_before_the_first_code():
    network, codes = tiny(classes=3), torch.randint(5, (2, 6))
    first, second = (network(codes, torch.full((2,), label)) for label in (0, 2))
    assert (first[:, 0] - second[:, 0]).abs().min() > 1e-4
    with pytest.raises(ValueError, match="needs labels"):
        network(codes)


@pytest.mark.parametrize("classes", [0, 3])
def test_samples_with_a_cache_are_those_without(classes):
    network = tiny(classes, dropout=0.3).eval()
    uniforms, labels = torch.rand(7, 6), torch.arange(7) % 3 if classes else None
    found = network.sample(uniforms, labels)
    codes = torch.zeros(7, 6, dtype=torch.int64)
    for position in range(6):
        probabilities = network(codes, labels)[:, position].softmax(-1)
        codes[:, position] = (probabilities.cumsum(-1) < uniforms[:, position, None]).sum(-1)
    assert torch.equal(found, codes)
    assert torch.equal(network.sample(uniforms, labels), found)


def test_samples_are_as_frequent_as_their_probability():
    network = tiny().eval()
    codes = network.sample(torch.rand(20_000, 2))
    with torch.no_grad():
        first = network(torch.zeros(1, 1, dtype=torch.int64))[0, 0].softmax(-1)
        second = network(torch.tensor([[2, 0]]))[0, 1].softmax(-1)
    assert_close(torch.bincount(codes[:, 0], minlength=5) / 20_000, first, atol=0.015, rtol=0)
    after_two = codes[codes[:, 0] == 2, 1]
    assert len(after_two) > 500
    assert_close(torch.bincount(after_two, minlength=5) / len(after_two), second, atol=0.06, rtol=0)


def test_numbers_at_the_ends_give_codes_that_there_are():
    network = tiny().eval()
    codes = network.sample(torch.tensor([[0.0] * 6, [1.0] * 6]))
    assert codes.min() >= 0 and codes.max() <= 4


def test_it_learns_a_rule():
    torch.manual_seed(0)
    network = CodeTransformer(codes=5, positions=6, width=16, layers=1, heads=2)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        codes = (torch.randint(5, (32, 1)) + torch.arange(6)) % 5  # each is one more than the last
        loss = F.cross_entropy(network(codes).flatten(0, 1), codes.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    drawn = network.eval().sample(torch.rand(50, 6))
    assert ((drawn[:, 1:] - drawn[:, :-1]) % 5 == 1).float().mean() > 0.95


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="divisible by the heads \\(3\\); use 9"):
        CodeTransformer(codes=5, positions=6, width=8, layers=1, heads=3)
