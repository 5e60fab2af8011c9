"""Floor 4: top lists, metrics, significance, and the execution of one run."""
