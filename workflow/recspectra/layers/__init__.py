"""What several models share: bases, encoders, graph convolutions, wavelet transforms."""
