"""What is told of a run while it trains and after: the line in the terminal, live.json, mistakes, loggers, the card."""
