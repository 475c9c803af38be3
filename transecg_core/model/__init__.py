"""The shared encoder, its heads, and the card that travels with the weights."""
