"""Local training: plain steps and private ones."""
