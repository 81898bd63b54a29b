"""A cluster of Slurm for tests: one controller and one machine, this one, with nothing outside its folder."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.nodes import wait_until

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")


def reason_without() -> str | None:
    """Why there can be no cluster here."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} are not installed (Debian: slurm-wlm and munge)"
    return None if os.getuid() == 0 else "slurmd must be started by root"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, Slurm's commands answer in the environment that this yields."""
    key, munge, host = folder / "munge.key", folder / "munge.socket", platform.node().partition(".")[0]
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    folder.chmod(0o755)  # munged is particular about who may reach its socket
    controller, machine = free_port(), free_port()
    for name in ("state", "spool"):
        folder.joinpath(name).mkdir()
    settings = folder / "slurm.conf"
    settings.write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={machine}
AuthInfo=socket={munge},cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=1:00:00 State=UP
""")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    environment = {"SLURM_CONF": str(settings)}
    munged = ["munged", "--foreground", "--force", "--key-file", str(key), "--socket", str(munge)]
    munged += ["--pid-file", str(folder / "munged.pid"), "--log-file", str(folder / "munged.log")]
    munged += ["--seed-file", str(folder / "munge.seed")]
    daemons = []
    try:
        for command in (munged, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
            with (folder / f"{command[0]}.out").open("w") as log:
                daemons.append(
                    subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
                )
            wait_until(lambda: munge.exists(), f"{command[0]} does not start; see {folder}")
        wait_until(
            lambda: "idle" in told("sinfo", "--noheader", "--format", "%T", environment=environment), "no machine"
        )
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=30)


def told(*words: str, environment: dict[str, str]) -> str:
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True).stdout


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
