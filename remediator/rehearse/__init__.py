"""Rehearsals: the real engine on a clock of its own and in a described world, hours in milliseconds."""
