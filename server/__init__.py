"""The coordinator's side of the federation."""
