"""Outgoing webhooks: events of a line, posted to endpoints of its partners, until they are taken."""
