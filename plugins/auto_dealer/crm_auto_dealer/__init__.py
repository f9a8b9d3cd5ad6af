"""Vehicles, test drives and order cards of a car dealer (4S店), as a plugin of the core."""
