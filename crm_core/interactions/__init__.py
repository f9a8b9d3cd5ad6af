"""Interactions with customers: visits, calls, messages, callbacks, their plans and reports, tasks, the timeline."""
