"""Datasets of the Hugging Face hub, identified by their commit."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genlib.data.reading.base import ImageSource, RawDataset, Unreachable
from genlib.data.reading.columns import read_tables
from genlib.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

log = logging.getLogger(__name__)
SECONDS_TO_WAIT = 10


class HubSource(ImageSource):
    """One commit of a hub dataset; `cached` is a copy in the local Hugging Face cache, taken when the hub is away."""

    def __init__(self, dataset: str, commit: str, cached: Any = None) -> None:
        self.name = dataset.rpartition("/")[2]
        self.dataset, self.revision, self.cached = dataset, commit, cached
        self.identity = {"hub": dataset, "commit": commit}

    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        """Download the dataset into the Hugging Face cache, where other programs find it too, and read its splits."""
        import datasets

        from genlib.data.reading.tables import built_tables, reading_datasets

        with reading_datasets(self.dataset):
            builder = self.cached or datasets.load_dataset_builder(self.dataset, config.subset, revision=self.revision)
            # Without the hub, `datasets` takes its newest cached copy, whatever the revision asked for.
            if builder.hash != self.revision:
                raise Unreachable(f"commit {self.revision} is not in the local cache, and the hub cannot be reached")
            tables = built_tables(builder)
        return read_tables(tables, config)


def resolve_commit(config: DataConfig, known: Sequence[str]) -> str:
    """The commit that the configuration means now; Unreachable, or UserError if the hub does not have it.

    `known` are the names of other sources, of which the nearest is proposed.
    """
    if is_commit(config.revision):
        return str(config.revision)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return str(HfApi().dataset_info(config.source, revision=config.revision, timeout=SECONDS_TO_WAIT).sha)
    except GatedRepoError as error:
        raise UserError(
            f"hub dataset {config.source} is gated; accept its terms at its page, then log in with hf auth login."
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"hub dataset {config.source} has no revision '{config.revision}'; name another.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"data.source '{config.source}' is neither a file or folder here nor a dataset on the Hugging Face hub "
            f"(a private one needs hf auth login){did_you_mean(config.source, known)}; name a path, a hub dataset such "
            f"as ylecun/mnist, or {', '.join(known)}."
        ) from error
    except Exception as error:  # its type depends on the HTTP library and on proxies
        raise Unreachable(" ".join(str(error).split()) or type(error).__name__) from error


def find_in_cache(config: DataConfig, reason: Unreachable, known: Sequence[str]) -> HubSource:
    """The newest copy in the local Hugging Face cache; UserError if there is none, with the nearest name of `known`."""
    from datasets.packaged_modules.cache.cache import Cache

    remedy = "repair the connection, or name a local folder"
    if config.revision:
        raise UserError(
            f"the Hugging Face hub cannot be reached ({reason}) to look up revision '{config.revision}' of "
            f"{config.source}; {remedy}, or its commit if it is in the local cache."
        ) from reason
    name = config.source.rpartition("/")[2]
    try:
        cached = Cache(repo_id=config.source, dataset_name=name, config_name=config.subset, version="auto", hash="auto")
    except Exception as error:
        raise UserError(
            f"data.source '{config.source}' is no file or folder here, nor in the local Hugging Face cache"
            f"{did_you_mean(config.source, known)}, and the hub cannot be reached ({reason}); {remedy}."
        ) from error
    log.warning("hub out of reach (%s): taking %s at commit %s from the local cache", reason, name, cached.hash)
    return HubSource(config.source, str(cached.hash), cached)


def is_commit(revision: str | None) -> bool:
    return bool(re.fullmatch("[0-9a-f]{40}", revision or ""))
