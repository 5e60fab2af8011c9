"""Floor 3: the training loop that all trained systems share, and their batches."""
