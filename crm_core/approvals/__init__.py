"""Approvals (审批): commands that wait as data for signatures and are then performed as they were asked."""
