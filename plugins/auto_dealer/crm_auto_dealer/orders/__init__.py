"""Order cards: drafted, signed, registered, and changed only by signature."""
