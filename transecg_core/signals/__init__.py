"""From recordings to model-ready windows."""
