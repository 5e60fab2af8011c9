"""Floor 5: tables, figures, the audit of published tables and the report.

Everything here is drawn from files on disk; nothing here runs a system.
"""
