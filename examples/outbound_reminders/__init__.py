"""Outbound reminders: see README.md."""
