"""What rules can do and look at, a package for each system."""
