"""Floor 2: raw files, readers, splits and the synthetic generator."""
