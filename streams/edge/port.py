from streams.hosts.edges import Edge as Edge
from streams.hosts.edges import Outgoing as Outgoing
