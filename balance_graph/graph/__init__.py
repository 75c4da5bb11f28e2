"""The door between networkx and arrays: what the public functions do with a graph."""
