"""Networks made to fit where they are used: fewer channels, fewer bits."""
