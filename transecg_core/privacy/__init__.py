"""What differential privacy costs, bounds and lets out."""
