"""Training: the loop, which knows Accelerate and Method and no variant, and the state that it goes on from."""
