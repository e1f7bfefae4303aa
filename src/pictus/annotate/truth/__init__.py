"""From votes to what is true, how sure, and how good each annotator is. Pure, but for the `*_steps`."""
