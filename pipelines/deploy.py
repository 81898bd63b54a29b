"""What Prefect's server must know of: work pools, slots, deployments, and what marks runs whose process is gone."""

from __future__ import annotations

from genlib.provenance import PROJECT

DEPLOYMENTS = PROJECT / "infra" / "prefect.yaml"
JOB_TEMPLATE = PROJECT / "infra" / "kubernetes" / "job-template.json"
ZOMBIES = "Crash zombie flow runs"
HEARTBEAT = 30  # seconds; Prefect's least
# Of every flow run that a worker starts.
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
}


def deploy(configurations: list[str], pool: str | None = None, gpus: int | None = None) -> list[str]:
    """Make or update everything, as often as one likes; a line for each thing that was made or changed.

    `configurations` are the user's own, deployed like the shipped ones; `pool` takes all deployments in the place of
    their own pools. What was set on the server since is kept: pools, slots (unless `gpus` says otherwise), and which
    schedules are on.
    """
    entries = [entry | {"work_pool": {"name": pool}} if pool else entry for entry in deployments_of(configurations)]
    with get_client(sync_client=True) as client:
        done = [*make_pools(client), *make_slots(client, gpus), *make_automation(client)]
        pools = {known.name for known in client.read_work_pools()}
        for entry in entries:
            if entry["work_pool"]["name"] not in pools:
                raise UserError(f"work pool {pool!r} is not there; name one of {', '.join(sorted(pools))}.")
        flows = {flow.name: client.create_flow(flow) for flow in (retrain, sample)}
        for entry in entries:
            done += [
                make_deployment(client, flows["retrain"], "retrain", entry, schema_of_retrain(entry["parameters"]["config"])),
            ]
    return [line for line in done if line]
