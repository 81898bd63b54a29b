"""The Prefect flow that takes a dataset to a trained, evaluated, gated and registered generative model."""
