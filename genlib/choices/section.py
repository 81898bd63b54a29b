"""The base of every section of a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

# Limits that several sections share: far beyond what anybody trains, so that only mistakes meet them.
MOST_UNITS = 2**16  # of a layer, or channels, or dimensions of a latent
MOST_LAYERS = 1000
MOST_STEPS = 10**9
MOST_DRAWS = 10**6  # random draws for one image or latent
LARGEST_WEIGHT = 1e9  # of a term of a loss
LEAST_TEMPERATURE = 1e-3  # of drawing codes: far below it, logits over it are NaN or infinite
LARGEST_RATE = 100.0  # of learning, or of weight decay


class Section(BaseModel):
    """Strict types: text and booleans are not read as numbers, nor numbers as booleans; floats are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
