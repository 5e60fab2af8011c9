"""What a study shows: its numbers read back, tables, figures, claims, audit, pages."""
