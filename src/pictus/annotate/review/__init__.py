"""What reviewers decide over votes: rulings and what takes them back, and what is worth a look."""
