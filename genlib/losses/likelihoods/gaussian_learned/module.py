"""The Gaussian likelihood with a learned standard deviation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.likelihood import Likelihood
from genlib.layers.outputs import OUTPUTS, Output
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood


class LearnedGaussian(Likelihood):
    """Sigma is one parameter, learned with the others (Rybkin et al. 2021, section 3)."""

    pixels = "density"

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.output = output

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -gaussian_negative_log_likelihood(images, OUTPUTS[self.output](raw), self.log_sigma.exp(), counted)
