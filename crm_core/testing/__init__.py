"""The test kit, for the core and for authors of plugins."""
