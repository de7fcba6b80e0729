"""Everything before the first seed: the request, its declaration and its lock, and what it will cost."""
