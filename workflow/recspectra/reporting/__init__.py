"""What a study shows: its numbers read back, tables, figures, findings, audit, pages."""
