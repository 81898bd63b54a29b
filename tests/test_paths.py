import os
from pathlib import Path

import pytest

from genlib.errors import UserError
from genlib.storage.home import home
from genlib.storage.paths import config_path, output_path, user_path


def test_the_home_directory_is_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/runs/first") == tmp_path / "runs/first"
    assert user_path("runs/~first") == Path("runs/~first")
    monkeypatch.setenv("GENLIB_HOME", "~/made")
    assert home() == tmp_path / "made"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "must be the name of a file or folder"),
        ("runs/a\0b", "without NUL characters"),
        ("~nobody-has-this-name/x", "begins with an unknown user's home"),
        ("x" * 300, r"the path x{100}\.\.\. cannot be used \(File name too long\); use a shorter name"),
    ],
)
def test_what_can_be_no_path_is_refused(given, message, monkeypatch):
    with pytest.raises(UserError, match=message):
        user_path(given)
    if given and "\0" not in given:
        monkeypatch.setenv("GENLIB_HOME", given)
        with pytest.raises(UserError, match=message):
            home()


def test_links_that_lead_round_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="Too many levels of symbolic links"):
        user_path(str(tmp_path / "a" / "run"))


def test_a_relative_path_from_a_folder_that_was_removed_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert user_path(str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match="the working directory does not exist any more; cd to one that does"):
        user_path("runs/first")


def test_a_configuration_is_a_file_or_a_pipe_that_the_shell_opened(tmp_path):
    (tmp_path / "a.yaml").write_text("")
    os.mkfifo(tmp_path / "pipe")
    out, into = os.pipe()
    os.close(into)
    for given in (tmp_path / "a.yaml", tmp_path / "absent.yaml", f"/dev/fd/{out}"):
        assert config_path(str(given)) == Path(given)
    os.close(out)
    for given, kind in (
        (tmp_path, "a folder"),
        ("/dev/zero", "a device"),
        (tmp_path / "pipe", "a device or a named pipe"),
    ):
        with pytest.raises(UserError, match=f"configuration {given} is {kind}"):
            config_path(str(given))


def test_an_output_goes_where_this_user_may_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    assert output_path(str(tmp_path / "new" / "run")) == tmp_path / "new" / "run"
    with pytest.raises(UserError, match=r"cannot be written \(.*file is no folder\)"):
        output_path(str(tmp_path / "file" / "run"))
    with pytest.raises(UserError, match=r"/proc/new/run cannot be written \(/proc: .*\); name another"):
        output_path("/proc/new/run")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(UserError, match="file: it is read-only for this user"):
        output_path(str(tmp_path / "file"))
