"""RecSpectra: an honest benchmark suite for spectral recommender systems."""

__version__ = "0.1.0"
