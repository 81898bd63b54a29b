import torch
from torch import nn
from torch.testing import assert_close

from genlib.layers.batch_norm import reestimate_batch_norm


def test_reestimated_statistics_are_the_mean_over_the_batches():
    norm = nn.BatchNorm1d(2)
    batches = [torch.randn(50, 2) * 3 + 1, torch.randn(50, 2)]
    reestimate_batch_norm(norm, norm, batches)
    assert_close(norm.running_mean, torch.stack([batch.mean(0) for batch in batches]).mean(0))
    assert_close(norm.running_var, torch.stack([batch.var(0) for batch in batches]).mean(0))
    assert norm.momentum == 0.1 and not norm.training
