#!/bin/bash
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
$options

$setup

# One node's torchrun on each node; they meet on the first.
head=$$(scontrol show hostnames "$$SLURM_JOB_NODELIST" | head -n 1)
port=$$((20000 + SLURM_JOB_ID % 10000))
export PYTHONUNBUFFERED=1 $environment
srun --kill-on-bad-exit=0 $command &
step=$$!

# 300 s before the time is over: save a checkpoint, and queue again. Cancelled: save a checkpoint.
warned=
trap 'warned=yes; kill -USR1 "$$step"' USR1
trap 'kill -TERM "$$step"' TERM
wait "$$step"; code=$$?
while kill -0 "$$step" 2>/dev/null; do wait "$$step"; code=$$?; done  # a trap ends a wait before its time

if [ -n "$$warned" ] && [ "$$code" -ne 0 ]; then
    scontrol requeue "$$SLURM_JOB_ID"
fi
exit "$$code"
