"""Learning from pictures without labels: which pictures, what of a network is trained, how it is judged."""
