"""When enough people have answered: a number of votes, ImageNet's table, or what is still probable."""
