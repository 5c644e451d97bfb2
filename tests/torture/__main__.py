from tests.torture.command import main

raise SystemExit(main())
