"""What runs the workflow: command lines, locks, interrupts, messages, results made again, costs."""
