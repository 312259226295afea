"""The pure domain: values, decisions, states and ports, without I/O and without a clock."""
