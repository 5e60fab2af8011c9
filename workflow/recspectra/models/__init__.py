"""Floor 3: recommender systems, one file each, found by their name."""
