"""Hub names, read by the real client from a hub on this machine, which then goes away."""

import subprocess
import sys

import pytest

from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.conftest import PROJECT
from tests.data.examples import hub_folder
from tests.data.fake_hub import COMMIT

SCENARIO = """
import os, sys
from pathlib import Path
from tests.data.fake_hub import COMMIT, TAG, FakeHub

work = Path(sys.argv[1])
hub = FakeHub("someone/flowers", work / "flowers")
os.environ |= {
    **{"HF_ENDPOINT": hub.address, "HF_HOME": str(work / "cache"), "GENLIB_HOME": str(work / "home")},
    **{"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"},
}
from genlib.data.config import DataConfig
from genlib.data.making.prepare import prepare
from genlib.errors import UserError

def ask(**settings):
    try:
        folder = prepare(DataConfig(**{"source": "someone/flowers", "channels": 1} | settings))
        print(folder.manifest.revision, folder.manifest.counts["train"], folder.path.name)
    except UserError as error:
        print("error:", error)

ask(image_size=8)
ask(image_size=8, revision=TAG)
ask(image_size=8, revision="v2")
ask(source="someone/else")
hub.close()
ask(image_size=8)  # finished before
ask(image_size=8, revision=COMMIT)  # needs no hub to be the same
ask(image_size=9)  # in the cache
ask(image_size=9, revision=TAG)
ask(source="someone/else")
"""


def test_a_hub_dataset_is_known_by_its_commit_and_served_from_what_is_here_when_the_hub_is_away(tmp_path):
    hub_folder(tmp_path / "flowers", train=12)
    script = [sys.executable, "-c", SCENARIO, str(tmp_path)]
    result = subprocess.run(script, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{COMMIT} 12 flowers-")
    assert lines[1] == lines[4] == lines[5] == lines[0]
    assert "has no revision 'v2'" in lines[2]
    assert "'someone/else' is neither a file or folder here nor a dataset on the Hugging Face hub" in lines[3]
    assert lines[6].startswith(f"{COMMIT} 12 flowers-") and lines[6] != lines[0]
    assert "cannot be reached" in lines[7] and "revision 'v1'" in lines[7]
    assert "'someone/else' is no file or folder here, nor in the local Hugging Face cache" in lines[8]
    assert result.stderr.count("hub out of reach") == 2


def test_a_name_that_no_hub_could_have_is_answered_at_once(home, config):
    with pytest.raises(UserError, match="neither a file or folder here nor a dataset"):
        prepare(config("two words"))
