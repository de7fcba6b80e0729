"""How a verdict is reached: evidence in a cell, criteria, and the way from cells to signatures to the idea."""
