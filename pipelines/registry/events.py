"""Events on Prefect's bus when a champion changes, so that an automation can tell people or deploy."""

from __future__ import annotations

import os

from mlflow.entities.model_registry import ModelVersion

PROMOTED, ROLLED_BACK = "genlib.champion.promoted", "genlib.champion.rolled-back"


def announce(event: str, version: ModelVersion, previous: str | None, how: str, by: str) -> None:
    """Emit an event on the model of the new champion, related to the flow run that made it.

    Nothing happens where no Prefect server is configured, and one that does not answer is a warning in the log. What is
    on its way is sent before the process ends.
    """
    if not os.environ.get("PREFECT_API_URL"):  # Prefect would start a server for it
        return
    from prefect.events import emit_event

    tags = version.tags
    run = tags.get("prefect.flow_run_id")
    related = [{"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"}] if run else []
    metric, reason = tags.get("gate.metric"), tags.get("gate") if how == "gate" else f"{how} by {by}"
    value = tags.get(f"metric.{metric}")
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"genlib.model.{version.name}",
            "prefect.resource.name": version.name,
            "genlib.version": str(version.version),
        },
        related=related,
        payload={
            "model": version.name,
            "version": str(version.version),
            "previous": previous,
            "how": how,
            "by": by,
            "metric": metric,
            "value": float(value) if value else None,
            "reason": reason,
        },
    )
