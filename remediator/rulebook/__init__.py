"""Rule files: read with every error at once and its place, and compiled to frozen `core.rules`."""
