"""Numbered migrations, a folder per backend: once released, a file is never changed, only followed."""
