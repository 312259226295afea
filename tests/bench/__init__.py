"""Side-by-side measurements against bare handlers and peers: `python -m tests.bench`, never a timed test."""
