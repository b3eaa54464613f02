"""What ingestion is made of: reading deliveries, checking, dealing to splits, landing."""
