"""What is asked of conditional models: that samples are of their label, that test images are judged under theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.data.parts import whole_test_split
from genlib.errors import UserError
from genlib.evaluation.extractors.classifier import network as classifier
from genlib.evaluation.extractors.classifier.network import ClassOfFeatures, random_extractor
from genlib.evaluation.report import drawing
from genlib.evaluation.report.figures import ReportFigures
from genlib.evaluation.scoring.extractors import Extractors, build_extractors
from genlib.evaluation.scoring.held_out import held_out_of, parts_of
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import chunks_of, labels_of, shuffled_rows
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.modes import label_accuracy
from genlib.layers.base import DataSpec
from genlib.methods.vae.config import VAEConfig
from genlib.models.base import Batch
from genlib.models.sampler import Sampler
from genlib.networks.mlp.config import MLPConfig
from genlib.pixels.scale import to_uint8
from genlib.sampling.sampler import TrainedSampler
from tests.evaluation.linear_gaussian import held_out

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]


def test_the_accuracy_is_the_share_of_known_labels_that_are_seen() -> None:
    classes, labels = torch.tensor([3, 1, 1, 0, 2]), torch.tensor([3, 1, 2, -1, -1])
    found = label_accuracy(classes, labels)
    assert found.value == pytest.approx(2 / 3) and found.count == 3
    assert found.standard_error == pytest.approx((2 / 3 * 1 / 3 / 2) ** 0.5)


class Oracle(ClassOfFeatures):
    """Knows an image's class from the first of its features."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 10), 1)

    def forward(self, features: Tensor) -> Tensor:
        return features[:, 0].long() % 10


def test_samples_are_held_to_the_labels_that_they_were_asked_for(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    extractor = random_extractor(dataset, CPU)
    extractor.name = "classifier"
    monkeypatch.setattr(extractor, "forward", lambda images: images.flatten(1).float())
    extractor.num_features = 64
    extractor.classify = Oracle()
    scorer = SampleScorer(
        dataset, Extractors(extractor, ()), EvaluationConfig(samples=300, features="classifier"), alone
    )
    asked = torch.randint(0, 10, (512,), generator=torch.Generator().manual_seed(0))
    images = torch.randint(0, 256, (512, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images[:, 0, 0, 0] = asked
    images[:30, 0, 0, 0] = (asked[:30] + 1) % 10  # another class than was asked for
    images[290:300, 0, 0, 0] = (asked[290:300] + 1) % 10  # in the second chunk

    def chunk(of: Tensor) -> Callable[[int], Tensor]:
        return lambda index: of[256 * index : 256 * (index + 1)]

    found = scorer(chunk(images), 300, "samples", chunk(asked)).metrics
    assert found["label_accuracy"].value == pytest.approx(260 / 300) and found["label_accuracy"].count == 300
    assert "label_accuracy" not in scorer(chunk(images), 300, "samples").metrics
    assert "label_accuracy" not in scorer(chunk(images), 300, "samples", lambda index: None).metrics


def test_the_floor_of_stacked_images_is_that_all_three_are_right_and_has_no_bars(
    make_stacked: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(classifier.RECIPE, "most_images", 6000)
    monkeypatch.setattr("genlib.evaluation.metrics.modes.MOST_BARS", 26)
    dataset = make_stacked(classes=3)
    asked = EvaluationConfig(samples=200)
    extractors = build_extractors(asked, dataset, CPU, alone)
    scorer = SampleScorer(dataset, extractors, asked, alone)
    rows = shuffled_rows(dataset, "test")
    found = scorer(chunks_of(dataset, "test", rows), 200, "test", labels_of(dataset, "test", rows), held_out=True)
    classify = extractors.main.classify
    assert classify is not None
    predicted = classify(extractors.main(torch.from_numpy(dataset.images("test").copy())))
    right = predicted == torch.from_numpy(dataset.labels("test"))
    assert found.metrics["label_accuracy"].value == pytest.approx(right.double().mean().item())
    assert found.metrics["modes"].value == len(predicted.unique())
    assert "class_histogram" not in found.details


def test_images_are_scored_with_the_labels_of_their_rows(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(test=300)
    test = held_out_of(whole_test_split(dataset), 280)
    first, second = (test.batch(index, CPU) for index in range(2))
    assert len(first.images) == 256 and len(second.images) == 24
    rows = shuffled_rows(dataset, "test")[:280]
    labels = torch.from_numpy(dataset.labels("test"))[rows]
    assert first.labels is not None and second.labels is not None
    assert torch.equal(torch.cat([first.labels, second.labels]), labels)
    parts = parts_of(second, 10)
    assert [len(part.images) for part in parts] == [10, 10, 4]
    assert torch.equal(parts[2].labels, labels[276:])


def test_a_conditional_model_is_scored_on_labelled_images_alone(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(test=300)
    labels = dataset.labels("test")
    labels[::2] = -1
    np.save(dataset.path / "test_labels.npy", labels)
    test = held_out_of(whole_test_split(dataset), None, labelled=True)
    assert test.count == 150 and (test.batch(0, CPU).labels >= 0).all()
    assert held_out_of(whole_test_split(dataset), None).count == 300
    (dataset.path / "test_labels.npy").unlink()
    with pytest.raises(UserError, match="the test images of .* have no labels, which a conditional model needs"):
        held_out_of(whole_test_split(dataset), None, labelled=True)


class Painter(nn.Module):
    """Every pixel is the label's, but for the first, which is the first latent's."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1 / 12.75))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        images = (labels * self.scale - 1).view(-1, 1, 1, 1).repeat(1, 1, 4, 4)
        images[:, 0, 0, 0] = latents[:, 0] / 4
        return images


def test_pictures_of_a_conditional_sampler_hold_the_label_of_a_walk_and_show_each_label() -> None:
    module = Sampler(Painter(), 3, "identity", classes=12)
    sampler = TrainedSampler(module, (1, 4, 4), label_names=[f"<{label}>" for label in range(12)])
    shown = drawing.of_sampler(ReportFigures(), sampler, seed=3)
    assert shown.interpolations is not None and shown.by_label is not None
    assert shown.interpolations.shape == (6, 9, 1, 4, 4)
    labels = sampler.labels(0, 3)
    assert labels is not None
    expected = (10 * labels[0:12:2, None]).expand(-1, 9)
    assert torch.equal(shown.interpolations[:, :, 0, 1, 1].long(), expected)
    moving = shown.interpolations[:, :, 0, 0, 0].float().diff(dim=1)
    assert (moving != 0).any(1).all()  # from one latent to another
    assert shown.by_label.shape == (6, 10, 1, 4, 4) and shown.labels == tuple(f"<{label}>" for label in range(10))
    assert torch.equal(shown.by_label[:, :, 0, 2, 2].long(), 10 * torch.arange(10).expand(6, -1))


def test_traversals_move_one_latent_of_the_first_image_under_its_label() -> None:
    torch.manual_seed(0)
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, conditioning="concat", latents="mixture")
    model = config.build(DataSpec((1, 4, 4), 5)).model.eval()
    images = torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8)
    test = held_out(images, labels=torch.arange(20) % 4 + 1)
    shown = drawing.of_encoder(ReportFigures(), model, test, [0.1, 2.0, 0.5], 256)
    assert shown.traversed == (1, 2, 0) and shown.traversals.shape == (3, 9, 1, 4, 4)
    assert torch.equal(shown.reconstructions[:, 0], images[:16])
    first = test.batch(0, CPU)
    with torch.no_grad():
        mean = model.posterior(Batch(first.images[:1], first.labels[:1])).mean
        moved = mean.clone()
        moved[0, 2] = -3.0
        expected = to_uint8(model.sampler.network(moved, torch.tensor([1])).tanh())
    assert torch.equal(shown.traversals[1, 0], expected[0])
    assert drawing.of_encoder(ReportFigures(), model, test, None, 256).traversals is None
