"""Results to files: summary, masks, table, pictures, report, and the folder that holds them."""
