"""Members of the elite teams from candidate to leaver (精英成员)."""
