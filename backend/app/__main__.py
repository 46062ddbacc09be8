"""`python -m app`: what the launcher starts."""

from __future__ import annotations

from app.cli import main

if __name__ == "__main__":
    main()
