"""What a delivery may come in: see `components.ingestion.archive.open_source`."""
