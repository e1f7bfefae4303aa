"""Boxes, masks and points: what may be drawn, the loop that verifies it, and what several people drew."""
