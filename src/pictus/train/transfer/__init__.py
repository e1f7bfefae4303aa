"""From what a network knows already: parts kept as they are, adapters, another run's weights, cached features."""
