"""A made-up branch of a telecom operator: who works there, what billing reports, and what everybody should be paid."""
