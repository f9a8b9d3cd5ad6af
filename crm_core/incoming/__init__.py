"""Incoming webhooks (接收 Webhook): requests of other systems, verified, kept, and turned into commands."""
