"""A registry of Avro schemas that speaks as Confluent's does. See README.md."""
