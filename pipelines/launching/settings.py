"""Limits and descriptions of settings that several launchers have."""

from __future__ import annotations

MOST_NODES, MOST_GPUS, MOST_RESTARTS = 10_000, 1024, 10_000
NODES = "Machines that share training.processes evenly"
RESTARTS = "Times that torchrun starts all processes again when one died, or a machine went and came back"
GPUS = "GPUs of a machine"
