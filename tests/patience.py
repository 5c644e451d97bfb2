"""How long tests wait for what must come."""

from typing import Final

#: It bounds being stuck and measures nothing: on a machine that is five times slower than ours, with other work beside
#: it, what is waited for comes long before. A test that shows how soon something ends has a bound of its own.
PATIENCE_SECONDS: Final = 400
