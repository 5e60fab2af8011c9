"""Floor 3: the training loop that all trained models share, and their batches."""
