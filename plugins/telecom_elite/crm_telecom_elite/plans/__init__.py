"""Contact, action and revenue plans, and who decides at a customer (接触、行动、收益计划)."""
