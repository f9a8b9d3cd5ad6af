"""Developed users with their commission months, and whose they are (发展用户)."""
