"""The evaluation of models: metrics of samples over frozen features, likelihoods, and the provenance of each value."""
