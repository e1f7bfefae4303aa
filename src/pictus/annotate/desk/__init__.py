"""Where people work: links and sessions, pages lent and handed in, pauses and quizzes."""
