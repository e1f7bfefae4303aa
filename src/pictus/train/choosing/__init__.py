"""Which pictures to ask people about next: what a run is unsure of, and what it has seen nothing like."""
