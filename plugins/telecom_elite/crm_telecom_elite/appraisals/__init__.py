"""Quarterly and monthly appraisal of teams and members (考核)."""
