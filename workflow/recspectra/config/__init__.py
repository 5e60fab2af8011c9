"""Typed configuration: schemas of datasets, models, studies and protocols, YAML, the catalog of all files."""
