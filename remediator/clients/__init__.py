"""One module for each SDK; its exceptions end here."""
