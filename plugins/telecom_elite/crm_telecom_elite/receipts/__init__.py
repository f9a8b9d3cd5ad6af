"""Fees received from developed users, whatever way they come in (实收话费)."""
