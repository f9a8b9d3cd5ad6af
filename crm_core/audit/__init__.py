"""The audit trail: one entry for each performed command, with everything it changed."""
