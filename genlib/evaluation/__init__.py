"""How good a model is: sample metrics over frozen features, likelihood metrics, and where every number comes from."""
