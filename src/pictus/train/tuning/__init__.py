"""Settings found: automatic recipes, a study of trials, the learning-rate finder."""
