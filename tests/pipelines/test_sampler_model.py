"""What MLflow serves of a conditional sampler: labels by row."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from genlib.sampling.load import load_sampler
from pipelines.serving.packaging import MODEL_SCRIPT, example, input_form, signature_for
from pipelines.serving.sampler_model import SERVING, SamplerModel

NO_COUNTS = [3.7, True, "3", None, float("nan"), float("inf"), 1e30, 10**30, [2]]
NO_LABELS = [3.7, True, "--5", "²", "１", "owl,cat", 10**26, 3, -1, [1]]


@pytest.fixture
def served(conditional_sampler):
    model = SamplerModel()
    model.load_context(SimpleNamespace(artifacts={"sampler": str(conditional_sampler)}))
    return model, load_sampler(conditional_sampler)


def renamed(sampler, names):
    """Give an exported sampler's labels other names."""
    file = sampler / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"label_names": names}))
    return sampler


def test_a_label_that_is_a_number_is_a_name_where_names_are_numbers_and_else_an_index(served, conditional_sampler):
    model, sampler = served
    for label in (2, 2.0, "2", np.int64(2)):
        rows = pd.DataFrame({"count": [2], "label": [label]})
        assert np.array_equal(model.predict(None, rows), sampler.images(2, labels=torch.tensor([2, 2])).numpy())
    model.load_context(SimpleNamespace(artifacts={"sampler": str(renamed(conditional_sampler, ["2", "1", "10"]))}))
    for label in (2, 2.0, "2"):
        rows = pd.DataFrame({"count": [2], "label": [label]})
        assert np.array_equal(model.predict(None, rows), sampler.images(2, labels=torch.tensor([0, 0])).numpy())
    with pytest.raises(MlflowException, match="label 0 is unknown, .*; use a name: 2, 1, 10|label 0 is unknown; use a"):
        model.predict(None, pd.DataFrame({"count": [2], "label": [0]}))


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
        ({"label": ["owl"]}, "or none with a count; give rows with count and label"),
        ({"count": [1], "lable": ["owl"]}, "takes no lable; give rows with count and label"),
    ],
)
def test_what_cannot_be_drawn_is_refused_as_a_bad_request(served, rows, message):
    with pytest.raises(MlflowException, match=message) as error:
        served[0].predict(None, pd.DataFrame(rows))
    assert error.value.get_http_status_code() == 400


def test_numbers_that_are_none_are_refused_as_bad_requests(served):
    truncations = (-1.0, float("nan"), float("inf"), 1e30, 1e-300, "1", True)
    bad = [
        *(({"count": [count]}, {}, r"count \(.*\) must be") for count in NO_COUNTS),
        *(({"count": [1], "label": [label]}, {}, "label .* is unknown.*; use 0 to 2") for label in NO_LABELS),
        *(({"count": [1]}, {"truncation": truncation}, "truncation") for truncation in truncations),
        *(({"count": [1]}, {"seed": seed}, "seed") for seed in (-1, 2**63, 1.5, float("nan"), None, True, "1")),
    ]
    for rows, params, message in bad:
        with pytest.raises(MlflowException, match=message) as error:
            served[0].predict(None, pd.DataFrame(rows), params)
        assert error.value.get_http_status_code() == 400


def test_the_signature_says_nothing_of_the_input_that_mlflow_would_convert():
    labelled = SimpleNamespace(image_shape=(1, 8, 8), classes=3, condition=None, label_names=None)
    plain = SimpleNamespace(image_shape=(2,), classes=0, condition=None)
    assert signature_for(labelled).inputs is None and signature_for(plain).inputs is None
    assert [param.name for param in signature_for(plain).params.params] == ["seed", "truncation"]
    points = signature_for(plain).outputs.inputs[0]
    assert points.type == np.float32 and points.shape == (-1, 2)
    assert example(labelled).to_dict("list") == {"count": [4], "label": ["0"]} and list(example(plain)) == ["count"]
    labelled.label_names = ["1", "2", "10"]
    assert example(labelled)["label"].tolist() == ["1"]
    assert input_form(labelled) == "rows with a count, and a label (its name) or none"
    assert input_form(plain) == "rows with a count"


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
        ((2, 1, 4, 4), {"samples": 0}, r"samples \(0\) must be at least 1"),
        ((2, 1, 4, 4), {"samples": 1.5}, r"samples \(1.5\) must be a whole number"),
        ((2, 1, 4, 4), {"truncation": float("nan")}, r"truncation \(nan\) must be a number"),
        ((0, 1, 4, 4), {}, "the request holds no contexts; give images of 4x4 pixels with 1 channel"),
        ((2, 1, 4, 4), {"samples": 2**20}, "n x samples .* is more than"),
    ],
)
def test_images_that_cannot_be_given_are_bad_requests(served_contexts, shape, params, message):
    with pytest.raises(MlflowException, match=message) as error:
        served_contexts[0].predict(None, np.zeros(shape, np.uint8), params)
    assert error.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((1, 1, 4, 4), 0.5), "the request holds float64; give whole numbers from 0 to 255: images of 4x4"),
        (np.full((1, 1, 4, 4), np.nan), "the request holds float64"),
        (np.full((1, 1, 4, 4), True), "the request holds bool"),
        (np.full((1, 1, 4, 4), 256), "the request holds numbers from 256 to 256; give whole numbers from 0 to 255"),
        (np.full((1, 1, 4, 4), -1), "the request holds numbers from -1 to -1"),
        (np.full((1, 1, 4, 4), "a"), "the request holds <U1"),
        ([[[[1, 2], [3]]]], "the images of the request differ in size"),
        (np.array(3), "the request holds no contexts"),
    ],
)
def test_values_that_are_no_pixels_are_bad_requests(served_contexts, given, message):
    with pytest.raises(MlflowException, match=message) as error:
        served_contexts[0].predict(None, given)
    assert error.value.get_http_status_code() == 400 and "\n" not in error.value.message


def test_whole_numbers_of_any_width_are_pixels(served_contexts):
    model, sampler = served_contexts
    given = np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4))
    expected = sampler.images(2, contexts=torch.from_numpy(given.astype(np.uint8))).numpy()
    assert np.array_equal(model.predict(None, given), expected)
    assert np.array_equal(model.predict(None, given.tolist()), expected)


def test_the_signature_of_a_sampler_that_images_are_given_to(served_contexts):
    sampler = served_contexts[1]
    signature = signature_for(sampler)
    assert signature.inputs is None and input_form(sampler) == "an array of whole numbers from 0 to 255 (n, 1, 4, 4)"
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
    assert input_form(sampler) == "rows with a caption"
    assert example(sampler)["caption"].tolist() == ["a dog above a dog"]


def test_captions_with_unknown_words_are_bad_requests(served_captions):
    with pytest.raises(MlflowException, match="'catt', which the model was not taught, did you mean 'cat") as error:
        served_captions[0].predict(None, pd.DataFrame({"caption": ["a catt"]}))
    with pytest.raises(MlflowException, match="some rows have no caption; give one in each, such as 'a dog above"):
        served_captions[0].predict(None, pd.DataFrame({"caption": ["a cat", None]}))
    assert error.value.get_http_status_code() == 400


@pytest.fixture
def server(conditional_sampler, tmp_path, monkeypatch):
    """MLflow's scoring server in this process, and the sampler that it serves."""
    import mlflow
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    monkeypatch.setenv(SERVING, "false")  # it sets this to true, which is undone afterwards
    sampler = load_sampler(conditional_sampler)
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"),
        python_model=str(MODEL_SCRIPT),
        artifacts={"sampler": str(conditional_sampler)},
        signature=signature_for(sampler),
        pip_requirements=[],
    )
    app = scoring_server.init(mlflow.pyfunc.load_model(str(tmp_path / "model")))
    return TestClient(app, raise_server_exceptions=False), sampler


def test_mlflows_server_hands_over_what_was_asked_and_answers_bad_requests_without_a_stack_trace(server, monkeypatch):
    client, sampler = server

    def ask(rows, **params):
        body = json.dumps({"dataframe_records": rows, "params": params})  # with NaN and Infinity, as Python has them
        return client.post("/invocations", content=body, headers={"content-type": "application/json"})

    expected = sampler.images(3, 7, labels=torch.tensor([2, 2, 0])).tolist()
    for good in (
        [{"count": 2, "label": "owl"}, {"count": 1, "label": 0}],
        [{"count": 2, "label": 2}, {"count": 1.0, "label": 0}],
    ):
        assert ask(good, seed=7).json()["predictions"] == expected
    table = "count,label\n2,owl\n1,cat\n"
    answer = client.post("/invocations", content=table, headers={"content-type": "text/csv"})
    assert answer.json()["predictions"] == sampler.images(3, labels=torch.tensor([2, 2, 0])).tolist()

    bad = [
        *(ask([{"count": count}]) for count in NO_COUNTS),
        *(ask([{"count": 1, "label": label}]) for label in NO_LABELS),
        *(ask([{"count": 1}], seed=seed) for seed in (-1, 2**63, 1.5, True, None)),
        *(ask([{"count": 1}], truncation=truncation) for truncation in (float("nan"), float("inf"), 1e-300, True)),
        ask([{"count": 1, "lable": "owl"}]),
        ask([{"count": 1}], sead=1),
        ask([]),
    ]
    assert [(answer.status_code, answer.text) for answer in bad if answer.status_code != 400] == []
    assert not [answer.text for answer in bad if "stack_trace" in answer.json() or "Traceback" in answer.text]

    def fail(*arguments, **options):
        raise RuntimeError("a secret path")

    monkeypatch.setattr("genlib.sampling.sampler.TrainedSampler.images", fail)
    broken = ask([{"count": 1}])
    assert broken.status_code == 500 and "secret" not in broken.text and "stack_trace" not in broken.json()
