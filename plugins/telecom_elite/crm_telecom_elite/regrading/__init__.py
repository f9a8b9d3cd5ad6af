"""Promotion, demotion and changes of post (晋升、降级与调岗)."""
