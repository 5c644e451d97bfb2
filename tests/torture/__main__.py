"""``python -m tests.torture``."""

from tests.torture.command import main

raise SystemExit(main())
