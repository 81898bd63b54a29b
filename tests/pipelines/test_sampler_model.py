"""What MLflow serves of a conditional sampler: labels by row."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from genlib.sampling import load_sampler
from pipelines.packaging import example, signature_for
from pipelines.sampler_model import SamplerModel


@pytest.fixture
def served(conditional_sampler):
    model = SamplerModel()
    model.load_context(SimpleNamespace(artifacts={"sampler": str(conditional_sampler)}))
    return model, load_sampler(conditional_sampler)


def test_each_row_asks_for_images_of_its_label(served):
    model, sampler = served
    rows = pd.DataFrame({"count": [2, 3], "label": ["owl", "0"]})
    expected = sampler.images(5, 7, labels=torch.tensor([2, 2, 0, 0, 0])).numpy()
    assert np.array_equal(model.predict(None, rows, {"seed": 7}), expected)


def test_without_labels_they_are_the_seeds(served):
    model, sampler = served
    for rows in (pd.DataFrame({"count": [4]}), pd.DataFrame({"count": [4], "label": [None]})):
        assert np.array_equal(model.predict(None, rows), sampler.images(4).numpy())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"count": [1], "label": ["owll"]}, "label 'owll' is unknown, did you mean 'owl'"),
        ({"count": [1, 1], "label": ["owl", None]}, "some rows have a label and some have none"),
        ({"count": [0]}, r"count \(0\) must be at least 1"),
        ({"count": [5, -1]}, r"count \(-1\) must be at least 1"),
        ({"count": [2**18 + 1]}, "is more than 262144 images of 1x8x8"),
        ({"count": [2**62, 2**62]}, "is more than 262144 images of 1x8x8"),
        ({"count": np.array([], int)}, "no rows"),
    ],
)
def test_what_cannot_be_drawn_is_refused_as_a_bad_request(served, rows, message):
    with pytest.raises(MlflowException, match=message) as error:
        served[0].predict(None, pd.DataFrame(rows))
    assert error.value.get_http_status_code() == 400


def test_a_truncation_below_zero_is_refused_as_a_bad_request(served):
    with pytest.raises(MlflowException, match="truncation") as error:
        served[0].predict(None, pd.DataFrame({"count": [1]}), {"truncation": -1.0})
    assert error.value.get_http_status_code() == 400


def test_the_signature_has_a_label_where_there_are_labels_and_points_are_float():
    labelled = SimpleNamespace(image_shape=(1, 8, 8), classes=3, condition=None)
    conditional = signature_for(labelled)
    plain = signature_for(SimpleNamespace(image_shape=(2,), classes=0, condition=None))
    assert conditional.inputs.input_names() == ["count", "label"] and plain.inputs.input_names() == ["count"]
    assert not conditional.inputs.input_dict()["label"].required
    assert plain.outputs.inputs[0].type == np.float32 and plain.outputs.inputs[0].shape == (-1, 2)
    assert list(example(labelled)) == ["count", "label"]


@pytest.fixture
def served_contexts(context_sampler):
    model = SamplerModel()
    model.load_context(SimpleNamespace(artifacts={"sampler": str(context_sampler)}))
    return model, load_sampler(context_sampler)


def test_of_each_image_that_is_given_there_are_samples(served_contexts):
    model, sampler = served_contexts
    given = np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4), dtype=np.uint8)
    found = model.predict(None, given, {"samples": 3, "seed": 5})
    assert found.shape == (6, 1, 8, 8) and found.dtype == np.uint8
    repeated = torch.from_numpy(given).repeat_interleave(3, 0)
    assert np.array_equal(found, sampler.images(6, 5, contexts=repeated).numpy())
    assert np.array_equal(model.predict(None, given), sampler.images(2, contexts=torch.from_numpy(given)).numpy())


@pytest.mark.parametrize(
    ("shape", "params", "message"),
    [
        ((2, 1, 5, 5), {}, r"shape \(1, 5, 5\), and this sampler .* takes uint8 of shape \(1, 4, 4\)"),
        ((2, 1, 4, 4), {"samples": 0}, r"count \(0\) must be at least 1"),
        ((2, 1, 4, 4), {"samples": 2**20}, "n x samples .* is more than"),
    ],
)
def test_images_that_cannot_be_given_are_bad_requests(served_contexts, shape, params, message):
    with pytest.raises(MlflowException, match=message) as error:
        served_contexts[0].predict(None, np.zeros(shape, np.uint8), params)
    assert error.value.get_http_status_code() == 400


def test_the_signature_of_a_sampler_that_images_are_given_to(served_contexts):
    sampler = served_contexts[1]
    signature = signature_for(sampler)
    assert signature.inputs.inputs[0].shape == (-1, 1, 4, 4) and signature.inputs.inputs[0].type == np.uint8
    assert signature.outputs.inputs[0].shape == (-1, 1, 8, 8)
    assert [param.name for param in signature.params.params] == ["seed", "truncation", "samples"]
    assert example(sampler).shape == (1, 1, 4, 4)


@pytest.fixture
def served_captions(caption_sampler):
    model = SamplerModel()
    model.load_context(SimpleNamespace(artifacts={"sampler": str(caption_sampler)}))
    return model, load_sampler(caption_sampler)


def test_of_each_caption_there_are_samples(served_captions):
    model, sampler = served_captions
    texts = ["a cat above a dog", "two dogs"]
    found = model.predict(None, pd.DataFrame({"caption": texts}), {"samples": 2, "seed": 5})
    assert found.shape == (4, 1, 28, 28) and found.dtype == np.uint8
    expected = sampler.images(4, 5, contexts=sampler.condition.encode(texts).repeat_interleave(2, 0))
    assert np.array_equal(found, expected.numpy())
    signature = signature_for(sampler)
    assert signature.inputs.input_names() == ["caption"]
    assert example(sampler)["caption"].tolist() == ["a dog above a dog"]


def test_captions_with_unknown_words_are_bad_requests(served_captions):
    with pytest.raises(MlflowException, match="'catt', which the model was not taught, did you mean 'cat") as error:
        served_captions[0].predict(None, pd.DataFrame({"caption": ["a catt"]}))
    with pytest.raises(MlflowException, match="some rows have no caption; give one in each, such as 'a dog above"):
        served_captions[0].predict(None, pd.DataFrame({"caption": ["a cat", None]}))
    assert error.value.get_http_status_code() == 400
