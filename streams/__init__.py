"""The life of a payment as pure processors: one noun, one file. ``topology`` composes them; ``hosts`` run them."""
