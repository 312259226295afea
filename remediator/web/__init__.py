"""The HTTP surface: webhook, API, health, metrics and Slack's interactivity."""
