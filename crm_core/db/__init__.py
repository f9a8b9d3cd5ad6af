"""Tables, types, sessions and migrations: everything that knows a database driver."""
