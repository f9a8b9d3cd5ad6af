"""Test drives: booked by slots, driven, recorded."""
