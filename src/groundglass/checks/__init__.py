"""What can be wrong with a scan, found out and said in one sentence each."""
