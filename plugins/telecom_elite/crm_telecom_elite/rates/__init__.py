"""Dated figures of the rules, per line and kind of team (费率参数)."""
