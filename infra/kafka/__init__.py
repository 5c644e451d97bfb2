"""A Kafka broker of one's own, and the topics on it: started, looked at and stopped without a container."""
