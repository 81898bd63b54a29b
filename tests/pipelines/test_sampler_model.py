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
    conditional, plain = signature_for([1, 8, 8], True), signature_for([2], False)
    assert conditional.inputs.input_names() == ["count", "label"] and plain.inputs.input_names() == ["count"]
    assert not conditional.inputs.input_dict()["label"].required
    assert plain.outputs.inputs[0].type == np.float32 and plain.outputs.inputs[0].shape == (-1, 2)
    assert list(example(True)) == ["count", "label"]
