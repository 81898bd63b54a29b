"""Learning rates over a training."""

import itertools

import pytest
import torch

from genlib.models.optimizer import OptimizerConfig
from genlib.training.schedule import STAGES, learning_rate_at
from genlib.training.state.checkpoint import load_checkpoint, newest_until, save_checkpoint
from tests.training.test_graphs import STEPS as STEPS_OF_TRAINERS
from tests.training.test_graphs import trainer_of

STEPS = 3280


def rates(steps=STEPS, **options):
    config = OptimizerConfig(learning_rate=0.001, **options)
    return [learning_rate_at(config, step, steps) for step in range(steps)]


def test_stages_are_those_of_the_paper():
    """Burda et al. 2015, section 5: 3^i epochs at 0.001 * 10^(-i / 7), i = 0 to 7."""
    wanted = [[0.001 * 10 ** (-i / 7)] * 3**i for i in range(STAGES)]
    assert rates(schedule="stages") == pytest.approx(list(itertools.chain(*wanted)))


def test_a_shorter_training_passes_through_all_stages():
    short = rates(steps=100, schedule="stages")
    assert short == sorted(short, reverse=True) and short[0] == 0.001 and short[-1] == pytest.approx(0.0001)
    assert len(set(short)) >= STAGES - 2  # the first two are shorter than a step


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.6), ("cosine", 0.6), ("constant", 1.0)])
def test_others_go_from_the_whole_to_the_last_share(schedule, middle):
    found = rates(schedule=schedule, final_share=0.2)
    assert found[0] == 0.001 and found[STEPS // 2] == pytest.approx(0.001 * middle)
    assert found[-1] == pytest.approx(0.001 if schedule == "constant" else 0.0002, rel=2e-3)
    assert found == sorted(found, reverse=True)


def test_a_cosine_is_flat_at_both_ends():
    found = rates(schedule="cosine", final_share=0.2)
    steepest = found[STEPS // 2 - 1] - found[STEPS // 2]
    assert found[0] - found[1] < steepest / 100 and found[-2] - found[-1] < steepest / 100


def test_it_rises_first():
    found = rates(schedule="linear", final_share=0.5, warm_up_steps=10)
    assert found[:10] == pytest.approx([0.0001 * (step + 1) for step in range(10)])
    assert found[10] == 0.001 and found[10:] == rates(STEPS - 10, schedule="linear", final_share=0.5)


def test_a_training_follows_its_schedule(genlib_home, tmp_path):
    options = {"learning_rate": 0.01, "schedule": "linear", "warm_up_steps": 2}
    trainer = trainer_of("vae_digits", tmp_path, method={"optimizer": options})
    config, steps = OptimizerConfig(**options), trainer.config.training.steps
    seen, group = [], trainer.optimizers["vae"].param_groups[0]
    for step in range(steps):
        trainer.take_step(step)
        trainer.progress.step += 1
        seen.append(group["lr"])
    assert seen == [learning_rate_at(config, step, steps) for step in range(steps)]
    assert len(set(seen)) > steps - 2
    assert trainer._losses()["vae/learning_rate"] == seen[-1]
    constant = trainer_of("vae_digits", tmp_path / "constant")
    constant.take_step(0)
    assert "vae/learning_rate" not in constant._losses()


def test_an_autoencoder_rests_after_its_share_of_the_steps(genlib_home, tmp_path):
    options = {"learning_rate": 0.01, "schedule": "cosine"}
    trainer = trainer_of("vq_vae_digits", tmp_path, method={"autoencoder_share": 0.5, "optimizer": options})
    steps, group = trainer.config.training.steps, trainer.optimizers["autoencoder"].param_groups[0]
    half = steps // 2
    weights, seen = [trainer.method.state_dict()], []
    for step in range(steps):
        trainer.take_step(step)
        trainer.progress.step += 1
        weights.append({name: value.clone() for name, value in trainer.method.state_dict().items()})
        seen.append(group["lr"])
        trainer.meter.read()
        losses = trainer._losses()
        assert ("autoencoder/learning_rate" in losses, "autoencoder/total" in losses) == (step < half,) * 2
    assert seen[:half] == [learning_rate_at(OptimizerConfig(**options), step, half) for step in range(half)]
    for before, after, step in zip(weights[1:], weights[2:], range(1, steps), strict=False):
        moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert any(".prior." in name for name in moved)
        assert all(".prior." in name for name in moved) == (step >= half)


def test_a_prior_begins_after_its_share_of_the_steps(genlib_home, tmp_path):
    options = {"learning_rate": 0.01, "schedule": "cosine"}
    method = {"autoencoder_share": 0.5, "prior": {"start_share": 0.5, "optimizer": options}}
    trainer = trainer_of("vq_vae_digits", tmp_path, method=method)
    steps, group = trainer.config.training.steps, trainer.optimizers["prior"].param_groups[0]
    half, seen = steps // 2, []
    for step in range(steps):
        before = {name: value.clone() for name, value in trainer.method.state_dict().items()}
        trainer.take_step(step)
        trainer.progress.step += 1
        seen.append(group["lr"])
        trainer.meter.read()
        losses = trainer._losses()
        assert ("prior/learning_rate" in losses, "prior/total" in losses) == (step >= half,) * 2
        moved = {name for name, value in trainer.method.state_dict().items() if not torch.equal(value, before[name])}
        assert moved and {".prior." in name for name in moved} == {step >= half}
    assert seen[half:] == [learning_rate_at(OptimizerConfig(**options), step, half) for step in range(steps - half)]


@pytest.mark.parametrize("saved_at", [1, STEPS_OF_TRAINERS // 2, STEPS_OF_TRAINERS - 1])
def test_a_training_resumes_exactly_before_and_after_its_prior_begins(saved_at, genlib_home, tmp_path):
    method = {"autoencoder_share": 0.5, "prior": {"start_share": 0.5}}
    whole, cut = (trainer_of("vq_vae_digits", tmp_path / name, method=method) for name in ("whole", "cut"))
    for step in range(STEPS_OF_TRAINERS):
        whole.take_step(step)
        if step < saved_at:
            cut.take_step(step)
    save_checkpoint(tmp_path / "checkpoint", cut._snapshot(), keep=1)
    resumed = trainer_of("vq_vae_digits", tmp_path / "cut", method=method)
    checkpoint = newest_until(tmp_path / "checkpoint", STEPS_OF_TRAINERS, pytest.fail)
    load_checkpoint(checkpoint, resumed.state, torch.device("cpu"))
    for step in range(saved_at, STEPS_OF_TRAINERS):
        resumed.take_step(step)
    for name, value in whole.method.state_dict().items():
        assert torch.equal(value, resumed.method.state_dict()[name]), name


def test_after_a_rollback_all_rates_are_lower(genlib_home, tmp_path):
    trainer = trainer_of("vae_digits", tmp_path, method={"optimizer": {"schedule": "cosine"}})
    trainer.take_step(0)
    before = trainer.optimizers["vae"].param_groups[0]["lr"]
    trainer.phases[0].reset(0.25)
    trainer.take_step(0)
    assert trainer.optimizers["vae"].param_groups[0]["lr"] == pytest.approx(0.25 * before)


@pytest.mark.parametrize("algorithm", ["adam", "rmsprop"])
def test_epsilon_reaches_the_optimizer(algorithm):
    from genlib.training.phases import build_optimizer

    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = build_optimizer(OptimizerConfig(algorithm=algorithm, epsilon=0.25), [weight])
    assert optimizer.param_groups[0]["eps"] == 0.25
