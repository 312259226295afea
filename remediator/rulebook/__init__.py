"""Rule files: their format, loading with file:line:column errors, and compilation to core's rules."""
