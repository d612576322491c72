"""``python -m groundglass``."""

from __future__ import annotations

from groundglass.cli import main

if __name__ == "__main__":
    main()
