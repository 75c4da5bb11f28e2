"""Does balance help learning? Experiments: small configurations, one row for each run, a page drawn from the rows."""
