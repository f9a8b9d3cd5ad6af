"""The outbox: events as rows, written in the transaction of the change they announce."""
