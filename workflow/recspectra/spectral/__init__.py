"""Floor 2: graph operators, eigensolver, filters and noise schedules."""
