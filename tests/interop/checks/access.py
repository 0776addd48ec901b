"""Who may come in, and what they may do."""

from brokers import Setup

SETUP = Setup(users=[
    ("alice", "apple", ["can publish open/*", "can subscribe open/*"]),
    ("bob", "banana", ["can publish open/*", "can subscribe open/*",
                       "can publish closed/*", "can subscribe closed/*"]),
])
