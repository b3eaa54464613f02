"""One module a layout; each registers its adapter: see `components.ingestion.adapter`."""
