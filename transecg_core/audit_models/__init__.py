"""Audit models: the run's own recipe, trained again and again on people drawn by other coins."""
