"""Messages for people, and a module for each channel that carries them."""
