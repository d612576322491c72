"""Published systems, a package each, in the terms of their papers."""
