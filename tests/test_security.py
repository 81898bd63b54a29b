"""What nobody from outside can make this project do. A static scan (ruff's S rules) runs with the tests too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from genlib.config.load import load_config
from genlib.errors import UserError
from pipelines.servers.interfaces import mlflow_command
from pipelines.servers.local import prefect_command
from tests.conftest import CONFIGS, PROJECT

SOURCES = [file for folder in ("genlib", "pipelines") for file in (PROJECT / folder).rglob("*.py")]


def calls(name: str) -> list[str]:
    """Each call of a function, to the end of its line, in all of our code."""
    return [found for file in SOURCES for found in re.findall(rf"\b{re.escape(name)}\(.*", file.read_text())]


def test_nothing_unpickles_but_what_our_own_decoding_processes_say_over_their_pipes():
    assert all("weights_only=True" in call for call in calls("torch.load"))
    assert not calls("yaml.load")
    with_pickle = {file.name for file in SOURCES if "pickle.load" in file.read_text()}
    assert with_pickle == {"workers.py"}


def test_no_code_that_comes_with_a_dataset_or_a_model_is_trusted():
    assert not [file for file in SOURCES if "trust_remote_code" in file.read_text()]
    with_numpy_pickles = [file for file in SOURCES if "allow_pickle=True" in file.read_text()]
    assert not with_numpy_pickles


@pytest.mark.parametrize("model", ["..", "../x", "a/b", "/etc", "", ".hidden", "a:b", "a\nb", "a\x00b", "~", "x" * 101])
def test_a_model_cannot_be_named_so_that_its_files_lie_elsewhere(model):
    with pytest.raises(UserError):
        load_config(CONFIGS / "vae_digits.yaml", [f"registry.model={model!r}"])


def test_yaml_makes_no_objects(tmp_path):
    file = tmp_path / "evil.yaml"
    file.write_text(f"method: !!python/object/apply:os.system ['touch {tmp_path}/made']\n")
    with pytest.raises(UserError) as error:
        load_config(file)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()


def test_the_servers_that_we_start_listen_on_loopback_only(genlib_home):
    for command in (prefect_command(4200), mlflow_command("sqlite:////x.db", 5000)):
        assert command[command.index("--host") + 1] == "127.0.0.1"


def test_an_interrupted_or_failed_command_prints_no_environment(tmp_path):
    secret = "t0pS3cret"
    done = subprocess.run(
        [sys.executable, "-m", "genlib", "train", str(CONFIGS / "vae_digits.yaml"), "--run-dir", "/proc/no"],
        cwd=PROJECT,
        env={"HF_TOKEN": secret, "GENLIB_HOME": str(tmp_path), "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and secret not in done.stdout + done.stderr
