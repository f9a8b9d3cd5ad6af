"""Users, teams, business lines, roles with reach, API tokens: who acts and what he may do and see."""
