"""Notices (通知): messages to users, delivered by mail, chat bots and whatever plugins add, over an outbox."""
