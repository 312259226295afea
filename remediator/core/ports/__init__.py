"""The ports: what the engine needs from outside, with obligations in prose that adapters keep."""
