"""What to ask next and why: the plan, known answers, the tree of questions, audits, suspects."""
