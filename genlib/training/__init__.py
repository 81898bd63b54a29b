"""The training loop, which knows Accelerate and Method and no variant, and the run folder that it writes."""
