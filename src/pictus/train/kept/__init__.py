"""What a run leaves on the disk: card, curve, checkpoints."""
