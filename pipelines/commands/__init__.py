"""The pipelines' commands, by name and summary: `genlib COMMAND`, or `python -m pipelines COMMAND`."""

from __future__ import annotations

from functools import partial

from genlib.cli.command import Command

command = partial(Command, needs=("prefect", "mlflow", "psutil"), extra="pipelines")
COMMANDS = (
    command("run", "run the flow retrain on a configuration", "pipelines.commands.flows"),
    command("promote", "make a version champion by hand", "pipelines.commands.registry"),
    command("rollback", "make the former champion champion again", "pipelines.commands.registry"),
    command("compare", "list a model's versions with their metrics", "pipelines.commands.registry"),
    command("lineage", "tell what a version was made from, and where that is kept", "pipelines.commands.registry"),
    command(
        "reproduce", "train a version again, and compare the weights: 0 identical, 1 not", "pipelines.commands.registry"
    ),
    command("sync", "send MLflow what it did not take while it was away", "pipelines.commands.registry"),
    command(
        "deploy",
        "make work pools, slots and deployments on Prefect's server, or bring them up to date",
        "pipelines.commands.servers",
    ),
    command("demo", "train, evaluate and register the two small models on real digits", "pipelines.commands.flows"),
    command(
        "gallery",
        "train small models of every kind of task on real digits, and write one page of their pictures",
        "pipelines.commands.flows",
    ),
    command("ui", "serve MLflow's and Prefect's interfaces on loopback", "pipelines.commands.servers"),
    command(
        "relocate",
        "write the paths in MLflow's database anew, after GENLIB_HOME was moved or copied",
        "pipelines.commands.servers",
    ),
)
