"""Local balancing: one unit at a time, in any order."""
