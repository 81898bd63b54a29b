"""`torchrun -m tests.training.collectives CONFIG STEPS [KEY=VALUE ...]`: train, and print as JSON what the processes
reduced: for each phase the numbers in each bucket of gradients, and how many reductions there were in all.
"""

# No annotations from the __future__: torch reads the hook's.

import json
import sys
import tempfile
from collections import defaultdict

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from genlib.config.load import load_config
from genlib.data.making.prepare import prepare
from genlib.runs.folder import RunFolder
from genlib.training.train import make_accelerator
from genlib.training.trainer import Trainer


def main() -> None:
    config = load_config(sys.argv[1], sys.argv[3:])
    accelerator = make_accelerator(config)
    micro_batches = config.training.micro_batches or accelerator.num_processes
    training = config.training.model_copy(update={"micro_batches": micro_batches})
    config = config.model_copy(update={"training": training})
    reduced: dict[str, list[int]] = defaultdict(list)
    all_reduces = 0

    def counted(phase: str, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        reduced[phase].append(bucket.buffer().numel())
        return allreduce_hook(None, bucket)

    def count(*arguments: object, **options: object) -> object:
        nonlocal all_reduces
        all_reduces += 1
        return all_reduce(*arguments, **options)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, RunFolder(folder), prepare(config.data), accelerator)
        for active in trainer.phases:
            active.wrapped.register_comm_hook(active.phase.name, counted)
        all_reduce, dist.all_reduce = dist.all_reduce, count
        for step in range(int(sys.argv[2])):
            trainer.take_step(step)
        parameters = {active.phase.name: sum(each.numel() for each in active.parameters) for active in trainer.phases}
    if accelerator.is_main_process:
        print(json.dumps({"reduced": reduced, "parameters": parameters, "all_reduces": all_reduces}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
