"""Engines, launcher and command line that drive the federation from outside."""
