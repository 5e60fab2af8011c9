"""From data to rankings: fit a model, choose its hyperparameters, rank the lists."""
