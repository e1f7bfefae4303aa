"""Training itself: steps, schedules, parts, and what a run's state is made of."""
