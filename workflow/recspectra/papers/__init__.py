"""What one paper alone measures."""
