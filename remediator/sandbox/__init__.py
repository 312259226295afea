"""Stand-ins for the systems around Remediator: Kubernetes, Slack and Alertmanager, over HTTP on loopback.

`remediator demo` shows itself on them and the tests drive them. They are the other side of a conversation, so
nothing here shares code with the clients that talk to it.
"""
