"""One module per command of ``transecg`` beside ``run`` and ``compare``."""
