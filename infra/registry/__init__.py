"""The schema registry on the network: served, kept on Kafka, and a client for somebody else's. See README.md."""
