"""Vehicles: what the dealer has and what its customers drive."""
