"""An embedded Kubernetes stand-in and message receivers, for the demo and the tests."""
