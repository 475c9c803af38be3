"""The institution's side of the federation."""
