"""What can happen to a card payment: the contract of Tallystick, importing nothing of ours but itself.

``OWNER`` is the marker that the start-up check looks for: another distribution that also installs a
package named ``events`` would shadow this one without any other sign.
"""

from typing import Final

OWNER: Final = "tallystick"
