"""The risk audit."""
