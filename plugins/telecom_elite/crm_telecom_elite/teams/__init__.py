"""Elite teams: kind, region, cars, composition, headcount, customers assigned (精英团队)."""
